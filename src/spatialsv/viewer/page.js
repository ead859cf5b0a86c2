"use strict";
// What the scripts of a page share: its data, elements, and the state in the address's hash.
const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // strings become text, never markup
  return node;
}

// Set `values` of `names` in the address; other parts stay, which belong to other scripts.
function putHash(names, values) {
  const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  for (const name of names) {
    if (values[name]) state.set(name, values[name]);
    else state.delete(name);
  }
  history.replaceState(null, "", `#${state}`);
}
