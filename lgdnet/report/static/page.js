// Plots are drawn when they come near; the theme follows the system until it is chosen.
"use strict";

(() => {
  const failed = (place, error) => {
    place.textContent = `This plot could not be drawn: ${error.message}`;
    console.error(error);
  };

  // Names lose their middle where they are longer than that: what tells them apart stands at their ends.
  function shorten(spec, letters) {
    const head = Math.floor((letters - 1) / 2);
    const shown = `slice(datum.label, 0, ${head}) + '…' + slice(datum.label, -${letters - 1 - head})`;
    for (const part of [spec, ...(spec.layer ?? [])]) {
      const y = part.encoding?.y;
      if (y?.field !== "name") continue;
      y.axis = { ...y.axis, labelExpr: `length(datum.label) > ${letters} ? ${shown} : datum.label` };
    }
  }

  function draw(place) {
    if (place.dataset.drawn) return Promise.resolve();
    place.dataset.drawn = "begun";
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    const room = Math.min(420, Math.round(0.45 * place.clientWidth)); // for names on the left
    spec.config.axis.labelLimit = room;
    shorten(spec, Math.floor(room / 7.6));
    if (place.clientWidth < 520) {
      spec.config.legend.columns = 1; // a phone
      spec.config.legend.labelLimit = place.clientWidth - 60;
    }
    return window
      .drawPlot(place, spec)
      .then(() => (place.dataset.drawn = "done"))
      .catch((error) => failed(place, error));
  }

  const plots = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "800px" },
  );
  plots.forEach((place) => near.observe(place));
  window.addEventListener("beforeprint", () => plots.forEach(draw));

  // ---- theme
  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem("lgdnet-theme"); // some browsers forbid it for files
    } catch {
      return null;
    }
  };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    document.dispatchEvent(new Event("themechange"));
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    try {
      localStorage.setItem("lgdnet-theme", next);
    } catch {
      // it is forgotten, then
    }
    show(next);
  });
  show(themes.includes(stored()) ? stored() : "system");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new Event("themechange")),
  );

  // ---- contents: folded on a narrow screen, and the part in view is marked
  const contents = document.querySelector("nav details");
  if (matchMedia("(max-width: 60rem)").matches) contents.open = false;
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const here = new IntersectionObserver(
    (entries) =>
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          links.forEach((link) => link.removeAttribute("aria-current"));
          links.get(entry.target.id)?.setAttribute("aria-current", "true");
        }),
    { rootMargin: "-10% 0px -80% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => here.observe(section));
})();
