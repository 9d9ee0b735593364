// The labelling page: keys become acts, one after the other; an act counts when the program has stored it.

import { PictureView } from "./view.js";

const GOOD = "ok";
const ALL_DONE = "Every picture has a label.";
const NEWS_MS = 3000;
const AHEAD = 3; // pictures that are fetched before they are asked for
const KEPT = 10; // pictures that are kept

const $ = (id) => document.getElementById(id);
const me = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const kept = new Map(); // number -> promise of a picture
let rows = [];
let order = [];
let classes = [];
let own = []; // classes that were added here and are not in use yet
let place = 0; // in `order`
let revision = 0;
let onScreen = null; // the number of the picture that can be seen
let queue = Promise.resolve();
let waiting = 0; // acts that are not answered yet

const view = new PictureView($("picture"), $("paint"), fetchPart, painted);

// --- asking the program ---

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("edge-train label has stopped: start it again and open its new address. What was saved is safe.");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `edge-train label answered ${answer.status}: load the page again`);
  }
  return answer;
}

async function askJson(path, options) {
  return (await ask(path, options)).json();
}

async function bitmapOf(path) {
  const answer = await ask(path);
  const [width, height] = answer.headers.get("x-picture-size").split("x").map(Number);
  return { bitmap: await createImageBitmap(await answer.blob()), width, height };
}

async function fetchPart(number, left, top, width, height) {
  const query = new URLSearchParams({ left, top, width, height });
  return bitmapOf(`part/${number}?${query}`).then((part) => part.bitmap, () => null);
}

function picture(number) {
  if (!kept.has(number)) {
    if (kept.size >= KEPT) kept.delete(kept.keys().next().value);
    const coming = bitmapOf(`picture/${number}`);
    coming.catch(() => kept.delete(number));
    kept.set(number, coming);
  }
  return kept.get(number);
}

function act(body) {
  waiting += 1;
  queue = queue.then(async () => {
    try {
      const news = await askJson(`act?since=${revision}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ window: me, ...body }),
      });
      alarm("");
      take(news, true);
      if (body.kind === "undo") await undone(news.picture);
    } catch (error) {
      await failed(error, body);
    } finally {
      waiting -= 1;
    }
  });
}

// What was shown before it was stored is taken back.
async function failed(error, body) {
  alarm(error.message);
  try {
    const all = await askJson("set");
    take({ ...all, changed: all.pictures }, false);
    if (body.kind !== "undo") await go(order.indexOf(body.picture));
    await reloadMask();
  } catch (again) {
    alarm(again.message);
  }
}

async function undone(number) {
  if (number === null) return notice("There is nothing to undo.");
  if (number !== order[place]) await go(order.indexOf(number));
  else await reloadMask();
}

async function news() {
  try {
    if (!waiting) {
      const told = await askJson(`news?window=${me}&since=${revision}`);
      if (!waiting) take(told, false);
    }
  } catch (error) {
    alarm(error.message);
  }
  setTimeout(news, NEWS_MS);
}

function take(told, mine) {
  revision = told.revision;
  classes = told.classes;
  own = own.filter((name) => !classes.includes(name));
  for (const row of told.changed) {
    if (row.number >= rows.length) order.push(row.number);
    const known = rows[row.number];
    rows[row.number] = row;
    if (!mine && known && row.number === onScreen && known.changed !== row.changed) reloadMask();
  }
  const together = `This set is open in ${told.windows} windows: each saves, and shows the others' labels after seconds.`;
  notice(told.windows > 1 ? together : told.labelled === rows.length ? ALL_DONE : "");
  render(told);
}

async function reloadMask() {
  const number = onScreen;
  if (number === null) return;
  const mask = rows[number].mask ? (await bitmapOf(`mask/${number}`)).bitmap : null;
  if (number === onScreen) view.setMask(mask);
}

// --- showing ---

async function go(to) {
  place = Math.min(Math.max(to, 0), order.length - 1);
  const number = order[place];
  setOnScreen(null);
  render();
  let found;
  let mask = null;
  try {
    found = await picture(number);
    if (rows[number].mask) mask = (await bitmapOf(`mask/${number}`)).bitmap;
  } catch (error) {
    if (order[place] === number) showInstead(found ? "" : error.message);
    if (found) alarm(error.message);
    if (!found) return;
  }
  if (order[place] !== number) return;
  showInstead("");
  view.show({ ...found, number }, mask);
  setOnScreen(number);
  for (let ahead = 1; ahead <= AHEAD; ahead += 1) {
    if (place + ahead < order.length) picture(order[place + ahead]).catch(() => {});
  }
}

// What is not on the screen yet is dimmed, and takes no key.
function setOnScreen(number) {
  onScreen = number;
  if (number === null) delete $("picture").dataset.number;
  else $("picture").dataset.number = number;
}

function showInstead(words) {
  $("instead").textContent = words;
  $("instead").hidden = !words;
  if (words) view.clear();
}

function render(told) {
  const row = rows[order[place]];
  $("file").textContent = row.file;
  $("group").textContent = row.group ? `group ${row.group}` : "";
  $("reason").textContent = row.reason ? `suggested: ${row.reason}` : "";
  $("now").textContent = `${place + 1} of ${order.length}: ${row.label || "no label"}`;
  $("now").className = row.label === GOOD ? "ok" : row.label ? "bad" : "";
  renderLabels(row);
  const labelled = rows.filter((each) => each.label).length;
  const defects = rows.filter((each) => each.label && each.label !== GOOD).length;
  $("bar").value = labelled / rows.length;
  $("progress").textContent = `${labelled} of ${rows.length} labelled, ${defects} defects`;
  if (told?.labels && told.minutes > 0.1) {
    const speed = (told.labels / told.minutes).toFixed(1);
    $("speed").textContent = `${told.labels} labels in ${told.minutes.toFixed(1)} min: ${speed} per minute`;
  }
  $("brush").hidden = !view.painting;
  $("size").textContent = `${2 * view.radius} px`;
  $("paint").classList.toggle("painting", view.painting);
  for (const [key, on] of [["b", view.painting], ["e", view.erasing], ["h", view.maskHidden]]) {
    document.querySelector(`[data-key="${key}"]`).classList.toggle("on", on);
  }
}

function renderLabels(row) {
  const names = [GOOD, ...classes, ...own];
  const drawn = JSON.stringify([names, row.label]);
  if ($("labels").dataset.drawn === drawn) return;
  $("labels").dataset.drawn = drawn;
  const buttons = names.map((name, index) => {
    const key = index === 0 ? "o" : index <= 10 ? String(index % 10) : "";
    const button = labelled(key, name, () => give(name));
    button.className = (name === GOOD ? "ok" : "bad") + (name === row.label ? " on" : "");
    return button;
  });
  const add = labelled("n", "new class", () => press("n"));
  add.className = "add";
  $("labels").replaceChildren(...buttons, add);
}

function labelled(key, words, pressed) {
  const button = document.createElement("button");
  if (key) button.append(Object.assign(document.createElement("kbd"), { textContent: key }), " ");
  button.append(words);
  button.addEventListener("click", pressed);
  return button;
}

function notice(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

function alarm(words) {
  $("alarm").textContent = words;
  $("alarm").hidden = !words;
}

// --- doing ---

// A picture that is not on the screen yet takes no label: nobody has seen it.
function give(label) {
  const number = order[place];
  if (onScreen !== number) return;
  const row = rows[number];
  const was = row.label;
  rows[number] = { ...row, label, mask: label === GOOD ? false : row.mask };
  if (label === GOOD) view.setMask(null);
  act({ kind: "label", picture: number, label, was });
  if (view.painting || !label || place + 1 === order.length) render();
  else go(place + 1);
}

function painted(stroke) {
  const number = onScreen;
  if (stroke === null || number === null) return reloadMask();
  const row = rows[number];
  if (!row.label || row.label === GOOD) {
    alarm("A mask shows where a defect is: press the key of its class first.");
    return reloadMask();
  }
  rows[number] = { ...row, mask: true };
  act({ kind: "stroke", picture: number, stroke });
}

function nextOpen() {
  for (let step = 1; step <= order.length; step += 1) {
    const to = (place + step) % order.length;
    if (!rows[order[to]].label) return go(to);
  }
  return notice(ALL_DONE);
}

function resizeBrush(factor) {
  view.radius = Math.min(500, Math.max(0.5, Math.round(view.radius * factor * 2) / 2));
}

function wipe() {
  if (onScreen === null) return;
  view.setMask(null);
  rows[onScreen] = { ...rows[onScreen], mask: false };
  act({ kind: "wipe", picture: onScreen });
}

const KEYS = {
  o: () => give(GOOD),
  x: () => give(""),
  u: () => act({ kind: "undo" }),
  n: () => {
    $("new").hidden = false;
    $("name").focus();
  },
  " ": nextOpen,
  ArrowLeft: () => go(place - 1),
  ArrowRight: () => go(place + 1),
  Home: () => go(0),
  End: () => go(order.length - 1),
  z: () => view.toggleZoom(),
  "+": () => view.zoom(1.4),
  "=": () => view.zoom(1.4),
  "-": () => view.zoom(1 / 1.4),
  c: () => $("picture").classList.toggle("contrast"),
  b: () => (view.painting = !view.painting),
  e: () => (view.erasing = !view.erasing),
  h: () => (view.maskHidden = !view.maskHidden),
  w: wipe,
  "[": () => resizeBrush(view.radius > 2 ? 1 / 1.3 : 0.5),
  "]": () => resizeBrush(view.radius > 2 ? 1.3 : 1.5),
};
const REPEATING = new Set(["ArrowLeft", "ArrowRight", "+", "=", "-", "[", "]"]);

function press(key) {
  if (/^\d$/.test(key)) {
    const name = [...classes, ...own][key === "0" ? 9 : Number(key) - 1];
    if (name) give(name);
  } else {
    KEYS[key]();
  }
  render();
  view.draw();
}

document.addEventListener("keydown", (event) => {
  if (event.target === $("name")) {
    if (event.key === "Escape") $("new").hidden = true;
    return;
  }
  const undo = (event.ctrlKey || event.metaKey) && event.key === "z";
  if (!undo && (event.ctrlKey || event.metaKey || event.altKey)) return;
  const key = undo ? "u" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!rows.length || (!(key in KEYS) && !/^\d$/.test(key))) return;
  event.preventDefault();
  if (!event.repeat || REPEATING.has(key)) press(key);
});

for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => press(button.dataset.key));
}

// a button that keeps the focus would take the space key for itself
document.addEventListener("click", (event) => event.target.closest("button")?.blur());

$("new").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name && ![GOOD, ...classes, ...own].includes(name)) own.push(name);
  $("name").value = "";
  $("new").hidden = true;
  render();
});

// not sendBeacon: by the Fetch standard it does not say where it comes from here (no-referrer), and is refused
addEventListener("pagehide", () => fetch(`leave?window=${me}`, { method: "POST", keepalive: true }));

async function start() {
  try {
    const all = await askJson("set");
    ({ order } = all);
    rows = all.pictures;
    document.title = $("set").textContent = all.set;
    take({ ...all, changed: [] }, false);
    await go(0);
    setTimeout(news, 0);
  } catch (error) {
    alarm(error.message);
  }
}

start();
