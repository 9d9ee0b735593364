// Acts ask for their reason first, in one dialog; it stays open with the words of who refused.
import { at, say } from "./ask.js";

let doIt = null;

// `act` gets the reason and does it, or throws the words why not.
export function askFirst({ title, about, label = say("why"), minutes = false }, act) {
  at("ask_title").textContent = title;
  at("ask_about").textContent = say("recorded", { about });
  at("ask_label").textContent = label;
  if (at("ask_minutes_label")) at("ask_minutes_label").hidden = !minutes;
  at("ask_why").value = at("ask_words").textContent = "";
  doIt = act;
  at("ask").showModal();
  at("ask_why").focus();
}

at("ask_do").addEventListener("click", async (event) => {
  event.preventDefault();
  const why = at("ask_why").value.trim();
  if (!why) return (at("ask_words").textContent = say("say_why"));
  at("ask_do").disabled = true;
  try {
    await doIt(why);
    at("ask").close();
  } catch (error) {
    at("ask_words").textContent = error.message;
  }
  at("ask_do").disabled = false;
});
