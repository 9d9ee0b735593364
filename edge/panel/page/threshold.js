// Thresholds: the evidence, the recorded scores, and what another threshold would have turned.
import { at, get, make, say } from "./ask.js";
import { draw } from "./charts.js";
import { evidence } from "./evidence.js";

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

function trial(product, edges) {
  const total = sum(product.below) + sum(product.above);
  if (!total) return make("p", "note", say("no_score"));
  const { chart, move } = histogram(product, edges);
  const slider = make("input"), words = make("p", "big");
  const start = edges.findIndex((edge) => edge >= product.threshold);
  Object.assign(slider, { type: "range", min: 0, max: edges.length - 1, step: 1, value: start });
  slider.setAttribute("aria-label", say("another_threshold"));
  const tell = () => {
    const edge = Number(slider.value);
    const passing = sum(product.above.slice(0, edge)), turned = sum(product.below.slice(edge));
    move(edge);
    words.textContent = say("turned", { threshold: edges[edge].toPrecision(3), all: total, passing, turned });
  };
  slider.addEventListener("input", tell);
  tell();
  return make("div", "", null, chart, slider, words,
    make("p", "note", say("axis")));
}

function product(told, edges) {
  const title = make("h2", "", told.recipe ? say("of_recipe", told) : told.product);
  if (told.words) return make("section", "card", null, title, make("p", "note", told.words));
  return make("section", "card", null, title, evidence(told), trial(told, edges));
}

try {
  const told = await get("/api/thresholds");
  const all = told.products.map((each) => product(each, told.edges));
  at("products").replaceChildren(...(all.length ? all : [make("p", "note", say("no_product"))]));
} catch (error) {
  at("alarm").textContent = error.message;
  at("alarm").hidden = false;
}
