// Thresholds: the evidence, the recorded scores, what another threshold turns and proves, and the way there.
import { at, get, make, post, say } from "./ask.js";
import { draw } from "./charts.js";
import { evidence } from "./evidence.js";

const askFirst = at("eye") ? (await import("./ask_first.js")).askFirst : null;
const WIDTH = 640, HEIGHT = 180, FLOOR = 156;

const sum = (counts) => counts.reduce((total, count) => total + count, 0);

// Where a score stands on the axis, which is even in log(score / (1 - score)): 0 to 1 between the outer edges.
function place(score, edges) {
  const logit = (share) => Math.log(share / (1 - share));
  return (logit(score) - logit(edges[0])) / (logit(edges[edges.length - 1]) - logit(edges[0]));
}

function histogram(product, edges) {
  const chart = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "bars scores" });
  const all = product.below.map((count, bin) => count + product.above[bin]), most = Math.log1p(Math.max(1, ...all));
  const wide = WIDTH / all.length;
  all.forEach((count, bin) => {
    if (!count) return;
    const tall = Math.max(2, (Math.log1p(count) / most) * (FLOOR - 8));
    const bar = draw("rect", { x: bin * wide, y: FLOOR - tall, width: wide - 0.4, height: tall, class: product.above[bin] ? "reject" : "pass" });
    bar.append(draw("title", {}, say("about_score", { count, score: edges[bin].toPrecision(3) })));
    chart.append(bar);
  });
  for (const score of [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    chart.append(draw("text", { x: place(score, edges) * WIDTH, y: HEIGHT - 6, "text-anchor": "middle" }, score));
  const limit = draw("line", { y1: 0, y2: FLOOR, class: "limit" });
  const now = draw("line", { y1: 0, y2: FLOOR, class: "now", x1: place(product.threshold, edges) * WIDTH, x2: place(product.threshold, edges) * WIDTH });
  chart.append(now, limit);
  return { chart, move: (edge) => ["x1", "x2"].forEach((name) => limit.setAttribute(name, edge * wide)) };
}

// What another threshold turns, by the slider; `choose` gets the value that it is left at.
function trial(product, edges, choose) {
  const total = sum(product.below) + sum(product.above);
  if (!total) return { box: make("p", "note", say("no_score")), show: () => {} };
  const { chart, move } = histogram(product, edges);
  const slider = make("input"), words = make("p", "big");
  Object.assign(slider, { type: "range", min: 0, max: edges.length - 1, step: 1 });
  slider.setAttribute("aria-label", say("another_threshold"));
  const show = (value) => {
    const found = edges.findIndex((edge) => edge >= value), edge = found < 0 ? edges.length - 1 : found;
    const passing = sum(product.above.slice(0, edge)), turned = sum(product.below.slice(edge));
    slider.value = edge;
    move(edge);
    words.textContent = say("turned", { threshold: edges[edge].toPrecision(3), all: total, passing, turned });
  };
  slider.addEventListener("input", () => show(edges[Number(slider.value)]));
  slider.addEventListener("change", () => choose(Number(edges[Number(slider.value)].toPrecision(3))));
  show(product.threshold);
  return { box: make("div", "", null, chart, slider, words, make("p", "note", say("axis"))), show };
}

function act(words, about, product, value) {
  const found = make("button", "main", say("asks", { words }));
  found.addEventListener("click", () => askFirst({ title: words, about }, async (why) => {
    at("eye").textContent = (await post("/api/move_threshold", { product, value, why })).words;
  }));
  return found;
}

// The evidence at a chosen value and, for an engineer, the button that moves the threshold there.
function chooser(product, edges) {
  const number = make("input"), told = make("div", "chosen"), { box, show } = trial(product, edges, (value) => choose(value));
  Object.assign(number, { type: "number", min: 0, max: 1, step: "any", inputMode: "decimal" });
  let turn = 0;
  async function choose(value) {
    const mine = ++turn;
    number.value = value;
    show(value);
    try {
      const there = await get(`/api/threshold_at?${new URLSearchParams({ product: product.product, value })}`);
      if (mine !== turn) return;
      const of = { ...there.evidence, product: product.product };
      const button = act(say("move", { threshold: value }), say("move_about", of), product.product, value);
      const may = there.proven ? [button] : [make("p", "note", say("only_by_command"))];
      told.replaceChildren(evidence(there), ...(askFirst ? may : []));
    } catch (error) {
      if (mine === turn) told.replaceChildren(make("p", "note", error.message));
    }
  }
  number.addEventListener("change", () => choose(Number(number.value)));
  return [box, make("label", "", say("chosen"), number), told];
}

function product(told, edges) {
  const title = make("h2", "", told.recipe ? say("of_recipe", told) : told.product);
  if (told.words) return make("section", "card", null, title, make("p", "note", told.words));
  const own = told.moved && { words: say("reset", { threshold: told.moved.was.toPrecision(3) }), about: say("reset_about", told) };
  const back = own && askFirst ? [act(own.words, own.about, told.product, null)] : [];
  return make("section", "card", null, title, evidence(told), ...back, ...chooser(told, edges));
}

// What came of a change, as the eye says it.
async function look() {
  const { words } = await get("/api/bundles").catch(() => ({ words: "" }));
  if (words && at("eye").textContent !== words) at("eye").textContent = words;
  setTimeout(look, 2000);
}

try {
  const told = await get("/api/thresholds");
  const all = told.products.map((each) => product(each, told.edges));
  at("products").replaceChildren(...(all.length ? all : [make("p", "note", say("no_product"))]));
} catch (error) {
  at("alarm").textContent = error.message;
  at("alarm").hidden = false;
}
if (askFirst) look();
