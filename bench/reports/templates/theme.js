/* The theme of a page: that of the system, until the button is pressed. */

function setTheme(dark) {
  const button = document.getElementById("theme");
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  button.textContent = dark ? "Light" : "Dark";
  button.setAttribute("aria-pressed", String(dark));
}

document.getElementById("theme").addEventListener("click", ({ target }) => setTheme(target.getAttribute("aria-pressed") !== "true"));
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
