// The kept bundles: which runs, what each proves, and another one for the eye's next start.
import { at, get, make, post } from "./ask.js";
import { evidence } from "./evidence.js";

const EVERY_MS = 1500;
const mayAct = at("start_again") !== null;
const askFirst = mayAct ? (await import("./ask_first.js")).askFirst : null;
let shown = "";

function chips(version) {
  const words = [version.running ? "✓ runs now" : "", version.active && !version.running ? "⧗ active when the eye starts again" : "", version.note];
  return words.filter(Boolean).map((each) => make("span", "chip", each));
}

function button(version) {
  const isBack = version.act === "rollback";
  const title = isBack ? `Go back to version ${version.version}` : `Make version ${version.version} active`;
  const found = make("button", "main", `${title}…`);
  found.dataset.version = version.version;
  const about = isBack ? "It has been accepted on this device before." : "It is tried on this device first, which takes seconds to minutes.";
  found.addEventListener("click", () => askFirst({ title, about: `${version.product}: ${about}` }, async (why) => {
    at("eye").textContent = (await post("/api/change_bundle", { product: version.product, version: version.version, why })).words;
  }));
  return found;
}

function versionOf(version) {
  const head = make("div", "head", null, make("h3", "", `version ${version.version}`), make("span", "row", null, ...chips(version)));
  const body = version.words ? make("p", "note", `✕ ${version.words}`) : make("details", "", null, make("summary", "", version.proven ? "✓ proven" : "✕ not proven"), evidence(version));
  const box = make("div", `version${version.running ? " runs" : ""}`, null, head, body);
  if (mayAct && version.act) box.append(button(version));
  return box;
}

function product(told) {
  const title = make("h2", "", told.recipe ? `${told.product} (recipe ${told.recipe})` : told.product);
  const none = make("p", "note", "No bundle of it is installed: edge install.");
  return make("section", "card", null, title, ...(told.versions.length ? told.versions.map(versionOf) : [none]));
}

async function look() {
  try {
    const told = await get("/api/bundles");
    const now = JSON.stringify(told.products);
    if (now !== shown) at("products").replaceChildren(...told.products.map(product)); // an open table stays open
    shown = now;
    const eye = told.words || (told.eye ? "" : "The eye does not answer: which version runs is not known, and none can be changed here.");
    if (at("eye").textContent !== eye) at("eye").textContent = eye;
    if (mayAct) at("start_again").hidden = !told.can_start_again;
    at("alarm").hidden = true;
  } catch (error) {
    at("alarm").textContent = `The panel does not answer. (${error.message})`;
    at("alarm").hidden = false;
  }
  setTimeout(look, EVERY_MS);
}

at("start_again")?.addEventListener("click", () => askFirst(
  { title: "Start the eye again", about: "Parts are rejected for some seconds, until it is ready." },
  async (why) => (at("eye").textContent = (await post("/api/start_again", { why })).words),
));
look();
