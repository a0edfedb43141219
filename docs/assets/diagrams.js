// Draws the diagrams with the copy of Mermaid that comes with the site. The theme would do it too,
// but spoils the ends of lines in entity diagrams.
document.addEventListener("DOMContentLoaded", () => {
  const dark = document.body.getAttribute("data-md-color-scheme") === "slate"
  mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "default" })
  mermaid.run({ querySelector: ".diagram" })
})
