// The first page: state, counts and gallery, again and again; acts ask for their reason first.
import { at, get, known, make, post, say } from "./ask.js";
import { askFirst } from "./ask_first.js";
import { bars, trend } from "./charts.js";

const EVERY_MS = 750, OLD_MS = 60_000;
const SIGNS = { PASS: "✓", REJECT: "✕", UNKNOWN: "?" };
const OUTCOMES = ["fired", "released", "late"];
let over = "start", show = "all", revision = "", soon = null, turn = 0, answered = 0;

// --- what is shown ---

function number(count) {
  return count === null ? "–" : count.toLocaleString("en").replaceAll(",", say("thousands"));
}

// Only what differs is written: whoever has the page read aloud hears what is new.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fact(id, text, level = "") {
  const box = at(id);
  box.hidden = text === "";
  write(box.querySelector("b"), text);
  box.dataset.level = level;
}

function minutes(seconds) {
  return seconds >= 60 ? say("min_s", { min: Math.floor(seconds / 60), s: Math.floor(seconds % 60) }) : say("s", { n: Math.ceil(seconds) });
}

function showState(told) {
  const { state, status } = told;
  at("state").dataset.level = state.level;
  for (const id of ["headline", "cause", "todo"]) write(at(id), state[id]);
  document.title = `${state.headline}: ${document.querySelector(".home").textContent}`;
  const inspects = status && status.mode !== "collect";
  fact("permit", !status ? say("not_known") : !inspects ? "" : say(status.permit ? "on" : "off"), status?.permit ? "good" : "bad");
  fact("left", status?.bypass_left_s ? minutes(status.bypass_left_s) : "", "warn");
  fact("lotnow", status && (status.lot || !inspects) ? status.lot || say("none_named") : "");
  const thisLot = document.querySelector("[data-over=lot]");
  if (thisLot && status) thisLot.hidden = !status.lot && over !== "lot";
  fact("recorded", status && !inspects ? number(status.parts) : "");
  at("product").hidden = !inspects;
  if (inspects) at("product").textContent = status.recipe ? say("with_recipe", status) : status.product;
  for (const [id, holds] of [
    ["acknowledge", status?.can_acknowledge],
    ["end_bypass", status?.bypass_left_s > 0],
    ["bypass", ["READY", "BYPASSED", "NOT_READY"].includes(state.level)],
    ["lot", status],
  ]) if (at(id)) at(id).hidden = !holds;
}

function showWarnings(told) {
  at("warnings").hidden = !told?.length;
  at("warnings").replaceChildren(...(told ?? []).map((each) => make("li", "", each)));
}

const UNKNOWN = { parts: null, verdicts: {}, outcomes: {}, reasons: [] }; // only the eye knows, and it does not answer

function showCounts(told) {
  const counts = told ?? UNKNOWN;
  at("parts").textContent = number(counts.parts);
  for (const kind of ["pass", "reject", "unknown"]) {
    const count = told ? (counts.verdicts[kind] ?? 0) : null;
    at(kind).textContent = number(count);
    at(`${kind}_share`).textContent = counts.parts ? `${((100 * count) / counts.parts).toFixed(1)} %` : "";
  }
  const ends = OUTCOMES.filter((name) => name !== "late" || counts.outcomes.late);
  const ended = (name) => say("how_many", { count: number(counts.outcomes[name] ?? 0), what: say(name) });
  at("outcomes").textContent = told ? ends.map(ended).join(say("and")) : "–";
  const rows = counts.reasons.map((reason) =>
    make("tr", "", null, make("td", "count", number(reason.count)), make("td", "", say("reason", reason))));
  at("reasons").hidden = !rows.length;
  at("reasons").tBodies[0].replaceChildren(...rows);
}

function limit(each) {
  const { name, count, bound, then } = each, isOn = bound > 0, isReached = isOn && count >= bound;
  const sign = isReached ? (then === "stop" ? "■ " : "! ") : isOn && 2 * count >= bound ? "! " : "";
  const used = make("progress");
  used.max = bound || 1;
  used.value = isOn ? Math.min(count, bound) : 0;
  used.setAttribute("aria-hidden", "true"); // the words say it
  const words = isOn ? `${sign}${say("count_of", { count: number(count), bound: number(bound) })}` : say("limit_off");
  const title = known(`limit_${name}`, "") ? say(`limit_${name}`, each) : name;
  const row = make("li", "", null, make("span", "", title), make("b", "", words), used, make("small", "", isOn ? say(`then_${then}`) : ""));
  row.dataset.limit = name;
  row.dataset.level = isReached && then === "stop" ? "bad" : sign ? "warn" : "";
  return row;
}

function showLimits(told) {
  const stopped = told.state.level === "STOPPED" && told.status?.can_acknowledge;
  const words = !told.limits ? say("limits_down") : stopped ? say("limit_holds", { cause: told.state.cause }) : "";
  write(at("limits_words"), words);
  const said = JSON.stringify(told.limits ?? []);
  if (at("limits").dataset.said === said) return;
  at("limits").dataset.said = said;
  at("limits").replaceChildren(...(told.limits ?? []).map(limit));
}

// The picture of a part in the gallery; until it is there, and where none is kept, words stand in its place.
function pictureOf(part) {
  const place = make("span", "nopicture coming", say("picture_coming")), picture = make("img");
  const source = `/picture/${part.id}/${encodeURIComponent(at("gallery").dataset.camera)}?small=1`;
  let tries = 0;
  picture.alt = "";
  picture.addEventListener("load", () => place.replaceWith(picture));
  picture.addEventListener("error", () => {
    if (++tries <= 2) return setTimeout(() => (picture.src = `${source}&try=${tries}`), 1200 * tries); // it is still being written
    place.className = "nopicture";
    place.textContent = say("no_picture");
  });
  picture.src = source;
  return place;
}

function card(part, picture) {
  const score = part.score === null ? "" : ` ${part.score.toFixed(3)}`;
  const link = make("a", `item ${part.verdict.toLowerCase()}`, null, picture ?? pictureOf(part),
    make("b", "", `${SIGNS[part.verdict] ?? ""} ${known(part.verdict, part.verdict)}${score}`),
    make("span", "why", part.words),
    make("small", "", `${part.name} · ${clock(part.at_ms)}${part.outcome ? ` · ${known(part.outcome.toLowerCase(), part.outcome)}` : ""}`));
  link.href = `/part/${part.id}`;
  link.dataset.id = part.id;
  link.dataset.said = JSON.stringify(part);
  return link;
}

// Cards that say the same stay: their pictures are not asked for again.
function showGallery(parts) {
  const known = new Map([...at("gallery").children].map((each) => [each.dataset.id, each]));
  const cards = parts.map((part) => {
    const old = known.get(part.id);
    if (old?.dataset.said === JSON.stringify(part)) return old;
    return card(part, old?.querySelector("img"));
  });
  at("gallery").replaceChildren(...cards);
  at("none").hidden = cards.length > 0;
}

const clock = (ms) => new Date(ms).toLocaleTimeString(say("locale"));

function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 90 ? say("s", { n: seconds }) : seconds < 5400 ? say("min", { n: Math.round(seconds / 60) }) : say("h", { n: Math.round(seconds / 3600) });
}

// The picture stays until the next one is there.
function showPicture(link, part) {
  const source = `/latest/${part.id}/${encodeURIComponent(part.camera)}`;
  if (link.dataset.shown === source) return;
  link.dataset.shown = source;
  const next = make("img");
  next.alt = link.querySelector("img").alt;
  next.addEventListener("load", () => link.dataset.shown === source && link.querySelector("img").replaceWith(next));
  next.src = source;
}

function showLatest(part, told) {
  const link = at("seen"), isUp = Boolean(told.status);
  link.hidden = !part.id;
  at("seen_none").hidden = Boolean(part.id);
  const none = say(at("gallery") ? "no_part_yet" : "no_picture_yet");
  if (!part.id) return write(at("seen_none"), part.words || (isUp ? none : say("down_no_picture")));
  showPicture(link, part);
  const age = ago(told.now_ms - part.at_ms), isOld = told.now_ms - part.at_ms > OLD_MS;
  link.className = `seen ${part.verdict.toLowerCase()}${isUp ? "" : " down"}`;
  if (at("gallery")) link.href = `/part/${part.id}`;
  link.dataset.id = part.id;
  write(link.querySelector("b"), `${SIGNS[part.verdict] ?? ""} ${known(part.verdict, part.verdict)}${part.score === null ? "" : ` ${part.score.toFixed(3)}`}`);
  const limit = part.threshold === null || part.score === null ? "" : say("rejected_from", { threshold: part.threshold.toFixed(3) });
  write(link.querySelector(".why"), [part.words, limit].filter(Boolean).join(" · "));
  const since = say(!isUp ? "down_old" : !isOld ? "ago" : at("gallery") ? "no_new_part" : "no_new_picture", { age });
  write(link.querySelector("small"), at("gallery") ? `${say("part", part)} · ${since}` : since);
}

function showParts(told) {
  showCounts(told.counts);
  showLimits(told);
  at("journal").hidden = !told.journal;
  at("journal").textContent = told.journal;
  if (told.turned) showGallery(told.turned);
}

// A lot with its counts; the day is said where it is not today.
function moment(ms) {
  const at = new Date(ms), time = at.toLocaleTimeString(say("locale"), { hour: "2-digit", minute: "2-digit" });
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString(say("locale"), { day: "numeric", month: "short" })} ${time}`;
}

function lotRow(lot) {
  const counts = [lot.parts, ...["pass", "reject", "unknown"].map((kind) => lot.verdicts[kind] ?? 0), ...["released", "fired", "late"].map((end) => lot.outcomes[end] ?? 0)];
  const times = lot.first_ms ? `${lot.is_whole ? moment(lot.first_ms) : say("before", { time: moment(lot.first_ms) })} – ${moment(lot.last_ms)}` : say("no_part_of_lot");
  return make("tr", "", null, make("th", "", lot.lot), ...counts.map((count) => make("td", "count", number(count))), make("td", "", times));
}

async function showLots() {
  if (!at("lots").open || document.hidden) return;
  const { lots } = await get("/api/lots");
  at("lots").querySelector("tbody").replaceChildren(...(lots.length ? lots.map(lotRow) : [make("tr", "", null, make("td", "", say("no_lot")))]));
}

async function showTimes() {
  if (!at("times").open) return;
  const told = await get("/api/timing");
  const all = Object.entries(told.stages ?? {}).map(([name, shape]) => bars(known(name, name.replaceAll("_", " ")), told.bounds_ms, shape));
  if (told.gate) all.push(bars(say("gate"), told.edge_bounds_ms, told.gate));
  at("charts").replaceChildren(...(all.length ? all : [make("p", "note", say("nothing_timed"))]));
}

async function showDrift() {
  if (!at("drift").open || document.hidden) return;
  const told = await get("/api/drift").catch((error) => ({ words: error.message }));
  const views = (told.views ?? []).map((view) => trend(view, told.span_s));
  at("views").replaceChildren(...(views.length ? views : [make("p", "note", told.words || say("nothing_placed"))]));
}

// --- again and again ---

const camera = () => `&camera=${encodeURIComponent(at("latest").dataset.camera)}`;

// Whoever looks last goes on; one that still waits for its answer then stops.
async function look() {
  clearTimeout(soon);
  const mine = ++turn;
  if (document.hidden) return;
  try {
    const told = await get(`/api/live?over=${over}&show=${show}&revision=${revision}${camera()}`);
    if (mine !== turn) return;
    answered = Date.now();
    at("alarm").hidden = true;
    showState(told);
    showWarnings(told.warnings);
    showLatest(told.latest, told);
    if (at("gallery")) showParts(told);
    revision = told.revision;
    at("age").textContent = say("as_of", { time: clock(told.now_ms) });
  } catch (error) {
    if (mine !== turn) return;
    const since = answered ? say("since", { seconds: Math.round((Date.now() - answered) / 1000) }) : "";
    at("alarm").textContent = say("no_answer_live", { since, words: error.message });
    at("alarm").hidden = false;
  }
  soon = setTimeout(look, EVERY_MS);
}

function choose(group, key, set) {
  at(group).addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    for (const each of at(group).children) each.classList.toggle("on", each === chosen);
    set(chosen.dataset[key]);
    look();
  });
}

// --- acts ---

const ACTS = {
  acknowledge: ["acknowledge", "acknowledge_about", "acknowledge_why"],
  end_bypass: ["end_bypass", "end_bypass_about", "why"],
  bypass: ["bypass", "bypass_about", "why"],
  lot: ["lot", at("gallery") ? "lot_parts_about" : "lot_pictures_about", "lot_why"],
};

function ask(name) {
  const [title, about, label] = ACTS[name].map((each) => say(each));
  askFirst({ title, about, label, minutes: name === "bypass" }, async (why) => {
    await post(`/api/${name}`, name === "lot" ? { lot: why } : name === "bypass" ? { why, minutes: Number(at("ask_minutes").value) } : { why });
    look();
  });
}

for (const name of Object.keys(ACTS)) at(name)?.addEventListener("click", () => ask(name));
if (at("gallery")) {
  choose("over", "over", (value) => (over = value));
  choose("show", "show", (value) => (show = value));
  for (const [id, show] of [["times", showTimes], ["lots", showLots], ["drift", showDrift]]) {
    at(id).addEventListener("toggle", () => show().catch(() => {}));
    setInterval(() => show().catch(() => {}), 5000);
  }
}
if (at("camera")) choose("camera", "camera", (value) => (at("latest").dataset.camera = value));
document.addEventListener("visibilitychange", look);
look();
