// Signs in; the cookie comes with the answer and no script can read it.
import { at, say } from "./ask.js";

const form = at("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = at("words");
  words.textContent = "…";
  try {
    const body = JSON.stringify({ name: at("name").value, password: at("password").value });
    const reply = await fetch("/api/login", { method: "POST", headers: { "content-type": "application/json" }, body });
    if (reply.ok) return location.assign("/");
    words.textContent = (await reply.json()).error;
  } catch {
    words.textContent = say("no_answer_login");
  }
  at("password").value = "";
  at("password").focus();
});
form.querySelector("button").disabled = false; // before, a browser would send the form itself, which nothing here may
