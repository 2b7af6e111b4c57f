// What a reader has opened or closed by hand stays so when the page is updated; the rest follows the server.
const touched = new WeakSet();

document.addEventListener("click", (event) => {
  const summary = event.target.closest("summary");
  if (summary) touched.add(summary.parentElement);
});

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === "open" && touched.has(element));
