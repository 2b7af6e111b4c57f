// What a reader has opened or closed by hand stays so when the page is updated; the rest follows the server.
const touched = new WeakSet();

document.addEventListener("click", (event) => {
  const summary = event.target.closest("summary");
  if (summary) touched.add(summary.parentElement);
});

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === "open" && touched.has(element));

// Nor does an update take away what somebody has typed and not sent yet.
Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old instanceof HTMLInputElement && old.value !== old.defaultValue);
