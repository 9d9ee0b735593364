// The kept bundles: which runs, what each proves, and another one for the eye's next start.
import { at, get, make, post, say } from "./ask.js";
import { evidence } from "./evidence.js";

const EVERY_MS = 1500;
const mayAct = at("start_again") !== null;
const askFirst = mayAct ? (await import("./ask_first.js")).askFirst : null;
let shown = "";

function chips(version) {
  const words = [version.running ? say("runs") : "", version.active && !version.running ? say("active_next") : "", version.note];
  return words.filter(Boolean).map((each) => make("span", "chip", each));
}

function button(version) {
  const isBack = version.act === "rollback";
  const title = say(isBack ? "go_back" : "make_active", version);
  const found = make("button", "main", say("asks", { words: title }));
  found.dataset.version = version.version;
  const about = say(isBack ? "back_about" : "active_about", version);
  found.addEventListener("click", () => askFirst({ title, about }, async (why) => {
    at("eye").textContent = (await post("/api/change_bundle", { product: version.product, version: version.version, why })).words;
  }));
  return found;
}

function versionOf(version) {
  const head = make("div", "head", null, make("h3", "", say("version", version)), make("span", "row", null, ...chips(version)));
  const body = version.words ? make("p", "note", `✕ ${version.words}`) : make("details", "", null, make("summary", "", say(version.proven ? "is_proven" : "is_not_proven")), evidence(version));
  const box = make("div", `version${version.running ? " runs" : ""}`, null, head, body);
  if (mayAct && version.act) box.append(button(version));
  return box;
}

function product(told) {
  const title = make("h2", "", told.recipe ? say("of_recipe", told) : told.product);
  const none = make("p", "note", say("no_bundle"));
  return make("section", "card", null, title, ...(told.versions.length ? told.versions.map(versionOf) : [none]));
}

async function look() {
  try {
    const told = await get("/api/bundles");
    const now = JSON.stringify(told.products);
    if (now !== shown) at("products").replaceChildren(...told.products.map(product)); // an open table stays open
    shown = now;
    const eye = told.words || (told.eye ? "" : say("down_bundles"));
    if (at("eye").textContent !== eye) at("eye").textContent = eye;
    if (mayAct) at("start_again").hidden = !told.can_start_again;
    at("alarm").hidden = true;
  } catch (error) {
    at("alarm").textContent = say("no_answer", { words: error.message });
    at("alarm").hidden = false;
  }
  setTimeout(look, EVERY_MS);
}

at("start_again")?.addEventListener("click", () => askFirst(
  { title: say("start_again"), about: say("start_again_about") },
  async (why) => (at("eye").textContent = (await post("/api/start_again", { why })).words),
));
look();
