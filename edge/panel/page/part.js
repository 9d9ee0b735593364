// One part: each label is on the disk before the page says so.
import { at, make, post, say } from "./ask.js";

const part = document.querySelector(".part").dataset.part;

const named = (label) => (label === "ok" ? say("ok") : label);

async function doing(work) {
  at("words").textContent = "…";
  try {
    at("words").textContent = await work();
  } catch (error) {
    at("words").textContent = error.message;
  }
}

for (const button of document.querySelectorAll("button.label")) {
  button.addEventListener("click", () => doing(async () => {
    const camera = button.parentElement.dataset.camera;
    const { label } = await post("/api/label", { part, camera, label: button.dataset.label });
    document.querySelector(`[data-label-of="${CSS.escape(camera)}"]`).textContent = named(label);
    return say("stored", { label: named(label) });
  }));
}

// One that has given way to newer ones meanwhile.
for (const picture of document.querySelectorAll("figure > img")) {
  const gone = () => picture.replaceWith(make("p", "nopicture", say("no_picture")));
  if (picture.complete && !picture.naturalWidth) gone();
  picture.addEventListener("error", gone);
}

for (const button of document.querySelectorAll("button[data-heat]")) {
  const picture = button.closest("figure").querySelector("img");
  const [painted, plain] = [picture.getAttribute("src"), picture.getAttribute("src").replace("?heat=1", "")];
  button.addEventListener("click", () => {
    const bare = picture.getAttribute("src") === painted;
    picture.src = bare ? plain : painted;
    button.textContent = say(bare ? "with_heat_map" : "without_heat_map");
  });
}

at("undo")?.addEventListener("click", () => doing(async () => {
  const { words } = await post("/api/undo", {});
  setTimeout(() => location.reload(), 1200);
  return words;
}));
