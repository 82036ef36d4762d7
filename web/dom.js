// Makes elements. Values only ever become text or attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else if (name === "width%") element.style.width = `${value}%`; // a style attribute would break the page's CSP
    else if (name === "left%") element.style.left = `${value}%`;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Replaces the contents of `place` only when `data` differs from what was drawn last, so that selection stays, and focus too.
export function draw(place, data, make) {
  const form = JSON.stringify(data ?? null);
  if (place.drawn === form) return;
  place.drawn = form;
  const held = place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...[make(data)].flat(4).filter(Boolean));
  if (held) (again(place, held) ?? document.getElementById("main")).focus({ preventScroll: true });
}

// What stands in the place of an element that was drawn anew; the focus goes there, else to the content as a whole.
function again(place, held) {
  const name = (one) => one.id || one.getAttribute("href") || one.textContent;
  return [...place.querySelectorAll(held.localName)].find((one) => name(one) === name(held));
}

// Shows `text` between backticks as code.
export const ticked = (text) => text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? h("code", {}, part) : part));

// A name of a table or a column, which is broken between its parts where it is too long.
export const named = (text) => text.split(/(?<=[$_.])/).map((part, at) => (at ? [h("wbr", {}), part] : part));

// Sets a text only where it changed: what somebody has marked in it stays marked.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function announce(text) {
  put(document.getElementById("live"), text);
}
