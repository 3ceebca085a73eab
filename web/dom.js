// Small helpers for the page.

/** Makes an element: properties, then children. Texts become text nodes, so nothing that people type is read as HTML. */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node[key] = value;
    else if (key === "class") node.className = value;
    else if (value === true) node.setAttribute(key, "");
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** A drawing of strokes on a field of 24 × 24, in the colour of the text around it. */
export function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const node = document.createElementNS(space, "svg");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("class", "icon");
  node.setAttribute("aria-hidden", "true");
  node.append(document.createElementNS(space, "path"));
  node.firstChild.setAttribute("d", path);
  return node;
}

/** Shows a level of 0…1 on a meter's bar. */
export const showLevel = (bar, level) => {
  bar.style.clipPath = `inset(0 ${(100 - level * 100).toFixed(1)}% 0 0)`;
};

let timer = 0;
/** Says something at the bottom of the page for some seconds. */
export function toast(text) {
  const node = byId("toast");
  node.textContent = text;
  node.classList.add("on");
  clearTimeout(timer);
  timer = setTimeout(() => node.classList.remove("on"), 5000);
}

/** Draws crisply on any screen: a context whose unit is a CSS pixel, and the size. */
export function surface(canvas) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height };
}

const style = getComputedStyle(document.documentElement);
export const colour = (name) => style.getPropertyValue(`--${name}`).trim();

const writes = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";
/** Whether keys belong to something else: a field that is written into, or a dialog. */
export const isWriting = (event) => event.target.closest?.(writes) !== null || document.querySelector("dialog[open]") !== null;
