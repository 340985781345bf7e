/* The theme of a page: that of the system, also when it changes, or the one that the button chooses. */

function setTheme(dark) {
  const button = document.getElementById("theme");
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  button.textContent = dark ? "Light" : "Dark";
  button.setAttribute("aria-pressed", String(dark));
}

const systemTheme = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").addEventListener("click", ({ target }) => setTheme(target.getAttribute("aria-pressed") !== "true"));
systemTheme.addEventListener("change", ({ matches }) => setTheme(matches));
setTheme(systemTheme.matches);
