// The steps of a runbook that people do: each has a box, by which somebody says that it is done, or takes that back.

import { post } from "./api.js";
import { announce, h, put } from "./dom.js";
import { identity } from "./gate.js";

// Its parts: `part` asks for the name, `dress` shows the boxes of a document, `listen` hears them; `again` shows it anew.
export function ticks(path, signedIn, again) {
  const who = identity("done-by", signedIn), said = h("p", { role: "alert", class: "wrong" });
  const part = h("div", { class: "fields no-print" }, who.part, h("p", { class: "soft" }, "Tick a step when it is done; untick it to take that back. The runbook keeps who said so, and when."), said);
  let busy = false; // a box was pressed, and the app has not answered yet
  const dress = (root) => {
    const found = boxes(root);
    part.hidden = !found.length;
    for (const box of found) {
      box.closest(".tick").hidden = false;
      box.setAttribute("aria-label", `Done: ${title(box)}`);
    }
  };
  const pressed = async (root, box) => {
    const { step } = box.dataset, done = box.checked, name = title(box), by = busy ? null : who.get();
    if (!by) return void (box.checked = !done);
    busy = true;
    try {
      await post(`${path}/${step}`, { by, done });
      put(said, "");
      await again();
      announce(`“${name}” is ${done ? "done" : "not done"}, says ${by}.`);
    } catch (error) {
      put(said, error.message);
    }
    busy = false;
    for (const one of boxes(root)) one.checked = one.defaultChecked; // what the runbook says, whatever was pressed
  };
  const listen = (root) => root.addEventListener("change", (event) => pressed(root, event.target));
  return { part, dress, listen };
}

const boxes = (root) => [...root.querySelectorAll("input[data-step]")];

const title = (box) => box.closest("li").querySelector("h3").textContent;
