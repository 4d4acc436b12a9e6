// @ts-check
/** Dialogs: the browser's own <dialog>, which keeps the focus inside and closes by Escape. */

import { h } from "./dom.js";

/**
 * Ask before something that can't be taken back. True if it was confirmed.
 *
 * @param {object} asked
 * @param {string} asked.title
 * @param {(Node | string)[]} asked.body
 * @param {string} asked.confirm what the button says
 * @param {boolean} [asked.danger]
 * @returns {Promise<boolean>}
 */
export function confirm({ title, body, confirm: word, danger = false }) {
  const agree = h("button", { type: "submit", class: danger ? "danger" : "primary", value: "yes" }, word);
  // No submit button: Enter in a field is for the other one.
  const cancel = h("button", { type: "button", autofocus: true, onclick: () => dialog.close("") }, "Cancel");
  const dialog = open({ title, body, buttons: [cancel, agree] });
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
  });
}

/**
 * Open a dialog; it is gone from the document when it is closed.
 *
 * @param {object} shown
 * @param {string} shown.title
 * @param {(Node | string)[]} shown.body
 * @param {HTMLButtonElement[]} shown.buttons each closes it, unless it is no submit
 * @returns {HTMLDialogElement}
 */
export function open({ title, body, buttons }) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    h(
      "form",
      { method: "dialog" },
      heading,
      h("div", { class: "dialog-body" }, body),
      h("div", { class: "dialog-buttons" }, buttons),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
