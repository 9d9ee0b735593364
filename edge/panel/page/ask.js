// Speaks the language of the page, and asks the panel: signed in or off to sign in, with what proves that this page is the panel's own.
import { WORDS } from "./words.js";

const csrf = document.querySelector('meta[name="csrf"]').content;
let touched = true; // a person did something since the last request

for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => (touched = true), { passive: true });

async function answer(reply) {
  if (reply.status === 401) {
    location.assign("/login");
    return new Promise(() => {});
  }
  const told = await reply.json().catch(() => ({ error: say("answered", { status: reply.status }) }));
  if (!reply.ok) throw new Error(told.error ?? say("answered", { status: reply.status }));
  return told;
}

export async function get(path) {
  const headers = touched ? { "x-active": "1" } : {};
  touched = false;
  return answer(await fetch(path, { headers, signal: AbortSignal.timeout(9000) }));
}

export async function post(path, body) {
  const headers = { "content-type": "application/json", "x-csrf": csrf };
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

// An element with classes, words and children; words never become markup.
export function make(kind, classes = "", words = null, ...children) {
  const element = document.createElement(kind);
  if (classes) element.className = classes;
  if (words !== null) element.textContent = words;
  element.append(...children);
  return element;
}

// A phrase of the page's language, with its {names} filled in.
export function say(name, values = {}) {
  return WORDS[name].replace(/\{(\w+)\}/g, (_, each) => values[each]);
}

export const known = (name, otherwise) => WORDS[name] ?? otherwise;

export const at = (id) => document.getElementById(id);

for (const each of document.querySelectorAll("[data-language]")) {
  each.addEventListener("click", () => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `kenpin.language=${each.dataset.language}; Path=/; Max-Age=31536000; SameSite=Strict${secure}`;
    location.reload();
  });
}

at("out")?.addEventListener("click", async () => {
  await post("/api/logout", {}).catch(() => {});
  location.assign("/login");
});
