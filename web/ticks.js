// The steps of a runbook that people do: each has a button, by which somebody says that it is done.

import { get, post } from "./api.js";
import { h } from "./dom.js";
import { identity } from "./gate.js";

// Shows the buttons in the document `root`; returns what asks for the name, or null where nothing is left to say.
export async function ticks(root, path, signal, again) {
  const buttons = [...root.querySelectorAll("button[data-step]")];
  if (!buttons.length) return null;
  const who = identity("done-by", (await get("/api/profiles", signal).catch(() => ({}))).signed_in_as);
  const said = h("p", { role: "alert", class: "wrong" });
  for (const button of buttons) {
    button.hidden = false;
    button.setAttribute("aria-label", `Done: ${button.closest("li").querySelector("h3").textContent}`);
    button.addEventListener("click", async () => {
      const by = who.get();
      if (!by) return;
      button.disabled = true;
      try {
        await post(`${path}/${button.dataset.step}`, { by });
        await again();
      } catch (error) {
        said.textContent = error.message;
        button.disabled = false;
      }
    });
  }
  return h("div", { class: "fields no-print" }, who.part, h("p", { class: "soft" }, "Say beside a step that it is done: the runbook keeps who said so, and when."), said);
}
