// The steps of a runbook that people do: each has a button, by which somebody says that it is done. What is said stays, so
// that a button is pressed twice.

import { post } from "./api.js";
import { announce, h, put } from "./dom.js";
import { identity } from "./gate.js";

// Its parts: `part` asks for the name, `dress` shows the buttons of a document, `listen` hears them; `again` shows it anew.
export function ticks(path, signedIn, again) {
  const who = identity("done-by", signedIn), said = h("p", { role: "alert", class: "wrong" });
  const part = h("div", { class: "fields no-print" }, who.part, h("p", { class: "soft" }, "Say beside a step that it is done, and press once more to confirm: the runbook keeps who said so, and when."), said);
  let asked = null; // the step whose button was pressed once
  const dress = (root) => {
    const buttons = [...root.querySelectorAll("button[data-step]")];
    part.hidden = !buttons.length;
    for (const step of root.querySelectorAll(".step")) step.tabIndex = -1; // takes the focus when its button is gone
    for (const button of buttons) {
      const words = button.dataset.step === asked ? "Yes, it is done" : "Done";
      button.hidden = false;
      put(button, words);
      button.setAttribute("aria-label", `${words}: ${title(button)}`);
    }
  };
  const pressed = async (root, button) => {
    const { step } = button.dataset, name = title(button), by = who.get();
    if (!by) return;
    if (asked !== step) {
      asked = step;
      dress(root);
      return announce(`Press once more to say that “${name}” is done.`);
    }
    asked = null;
    try {
      await post(`${path}/${step}`, { by });
      put(said, "");
      await again();
      [...root.querySelectorAll(".number")].find((one) => one.textContent === step)?.closest("li").focus({ preventScroll: true });
      announce(`“${name}” is done, says ${by}.`);
    } catch (error) {
      put(said, error.message);
      dress(root);
    }
  };
  const listen = (root) => {
    root.addEventListener("click", (event) => { const button = event.target.closest("button[data-step]"); if (button) pressed(root, button); });
    root.addEventListener("focusout", (event) => { if (asked && event.target.dataset.step === asked) { asked = null; dress(root); } });
  };
  return { part, dress, listen };
}

const title = (button) => button.closest("li").querySelector("h3").textContent;
