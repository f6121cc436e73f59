
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const entries = JSON.parse($("entries").textContent);
  const [cards, films, frames] = [[], [], []];  // by place
  const root = document.documentElement;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

  // Theme: the system's, unless a reader chose another, which is remembered.

  const remembered = {
    get() { try { return localStorage.getItem("kling-gallery-theme"); } catch { return null; } },
    set(theme) { try { localStorage.setItem("kling-gallery-theme", theme); } catch { /* then it is not remembered */ } },
  };

  function setTheme(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  }

  function theme() {
    return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }

  setTheme(remembered.get());
  $("theme").addEventListener("click", () => {
    setTheme(theme() === "dark" ? "light" : "dark");
    remembered.set(theme());
  });

  // Footage: only what is on screen, or nearly, has an address; everything else costs nothing.

  function load(film) {
    if (film.hasAttribute("src")) return;
    film.preload = "metadata";
    film.src = `${film.dataset.link}#t=0.1`;  // a moment in: many films begin black
  }

  function unload(film) {
    if (!film.hasAttribute("src")) return;
    film.pause();
    film.classList.remove("there");
    film.preload = "none";
    film.removeAttribute("src");
    film.load();
  }

  const nearby = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      const film = films[target.dataset.place];
      if (isIntersecting) load(film); else unload(film);
    }
  }, { rootMargin: "240px" });

  function play(place) {
    const film = films[place];
    if (!film || isCalm.matches) return;
    load(film);
    cards[place].classList.add("playing");
    film.play().catch(() => cards[place].classList.remove("playing"));  // it was stopped at once, or is no film
  }

  function stop(place) {
    films[place]?.pause();
    cards[place].classList.remove("playing");
  }

  function mount(card) {
    const place = Number(card.dataset.place);
    const film = card.querySelector("video");
    [cards[place], films[place], frames[place]] = [card, film, card.querySelector(".frame")];
    if (!film) return;
    nearby.observe(card);
    film.addEventListener("loadeddata", () => film.classList.add("there"));
    film.addEventListener("error", () => {
      if (!film.hasAttribute("src")) return;
      frames[place].classList.add("blank");
      film.replaceWith(notice("No picture", "This browser cannot play the file, or cannot find it."));
      films[place] = null;
      nearby.unobserve(card);
    });
    frames[place].addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") play(place); });
    frames[place].addEventListener("pointerleave", () => stop(place));
    frames[place].addEventListener("focus", () => { if (frames[place].matches(":focus-visible")) play(place); });
    frames[place].addEventListener("blur", () => stop(place));
  }

  document.querySelectorAll(".card").forEach(mount);

  function notice(headline, reason) {
    const box = element("span", { className: "notice" });
    box.append(element("strong", { textContent: headline }), element("span", { className: "reason", textContent: reason }));
    return box;
  }

  function element(name, properties) {
    return Object.assign(document.createElement(name), properties);
  }

  // Finding and arranging

  const haystack = (entry) => [
    entry.prompt, entry.model, entry.tag, entry.id, entry.name, entry.reason, ...(entry.parameters ?? []).flat(),
  ].filter(Boolean).join("\n").toLocaleLowerCase();
  const haystacks = entries.map(haystack);

  const by = (value) => (a, b) => value(b) - value(a) || a - b;
  const inWords = (value) => (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true }) || a - b;
  const orders = {
    first: (a, b) => a - b,
    last: (a, b) => b - a,
    newest: by((place) => entries[place].times?.[3] ?? -1),
    prompt: inWords((place) => entries[place].prompt ?? entries[place].name),
    model: inWords((place) => entries[place].model ?? ""),
    cost: by((place) => entries[place].cost ?? -1),
    took: by((place) => entries[place].took ?? -1),
    size: by((place) => entries[place].size ?? -1),
  };

  const everything = () => [...entries.keys()];
  let visible = [];  // places, in the order of the page
  let comparing = false;

  function chosen(id) {
    return $(id)?.value ?? "";
  }

  function fits(place, words) {
    const entry = entries[place];
    return words.every((word) => haystacks[place].includes(word))
      && ["model", "state", "tag"].every((id) => !chosen(id) || (entry[id] ?? "") === chosen(id));
  }

  function arrange() {
    const words = chosen("search").toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const order = everything().sort(orders[chosen("sort")]);
    const found = order.filter((place) => fits(place, words));
    if (comparing) showGroups(found); else showSheet(found, order);
    $("nothing").hidden = visible.length > 0;
    root.style.setProperty("--total", `"/${entries.length}"`);
    $("shown").textContent = visible.length === entries.length ? "" : `${visible.length} of ${entries.length}`;
    makeCurrent(visible.includes(current) ? current : visible[0]);
  }

  function showSheet(found, order) {
    visible = found;
    const isFound = new Set(found);
    cards.forEach((card, place) => { card.hidden = !isFound.has(place); });
    const sheet = $("sheet");
    if (order.some((place, index) => sheet.children[index] !== cards[place])) sheet.append(...order.map((place) => cards[place]));
    $("groups").replaceChildren();
    $("groups").hidden = true;
    sheet.hidden = false;
  }

  // Side by side: all entries of a prompt of which one is found, so that none is judged alone.

  function showGroups(found) {
    const numbers = [...new Set(found.map((place) => entries[place].group).filter((group) => group !== undefined))];
    const groups = numbers.map(membersOf);
    visible = groups.flat();
    for (const place of visible) cards[place].hidden = false;
    $("sheet").append(...$("groups").querySelectorAll(".card"));
    $("groups").replaceChildren(...groups.map(section));
    $("sheet").hidden = true;
    $("groups").hidden = false;
  }

  function membersOf(group) {
    return everything().filter((place) => entries[place].group === group).sort(orders.model);
  }

  function section(places) {
    const box = element("section", { className: "group" });
    const header = element("header", {});
    const title = element("h2", { textContent: entries[places[0]].prompt, dir: "auto" });
    const list = element("ul", { className: "sheet", role: "list" });
    list.append(...places.map((place) => cards[place]));
    header.append(title);
    if (places.filter((place) => films[place]).length > 1) header.append(together(places));
    box.append(header, list);
    return box;
  }

  function together(places) {
    const button = element("button", { type: "button", textContent: "Play together" });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const isPlaying = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!isPlaying));
      for (const place of places) {
        const film = films[place];
        if (!film) continue;
        load(film);
        film.currentTime = 0;
        if (isPlaying) film.pause(); else film.play().catch(() => {});
      }
    });
    return button;
  }

  function compare(isOn) {
    comparing = isOn;
    $("compare").setAttribute("aria-pressed", String(isOn));
    rearrange();
  }

  function rearrange() {
    arrange();
    const main = document.querySelector("main");
    if (main.getBoundingClientRect().top < 0) main.scrollIntoView();  // what is found begins at the top
  }

  for (const id of ["search", "model", "state", "tag", "sort"]) $(id)?.addEventListener("input", rearrange);
  document.querySelector(".toolbar").addEventListener("submit", (event) => {
    event.preventDefault();
    focus(visible[0]);
  });
  $("compare")?.addEventListener("click", () => compare(!comparing));

  // Keyboard: the sheet is one stop of the Tab key, and arrows move within it.

  let current;

  function makeCurrent(place) {
    for (const [where, stop] of [[current, -1], [place, 0]]) {
      for (const button of cards[where]?.querySelectorAll("button") ?? []) button.tabIndex = stop;
    }
    current = place;
  }

  function focus(place) {
    if (place === undefined) return;
    makeCurrent(place);
    frames[place].focus({ preventScroll: true });
    cards[place].scrollIntoView({ block: "nearest" });
  }

  function below(place, step) {
    const index = visible.indexOf(place);
    const from = frames[place].getBoundingClientRect();
    let best;
    for (let other = index + step; other >= 0 && other < visible.length; other += step) {
      const box = frames[visible[other]].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < 2) continue;
      if (best && Math.abs(box.top - best.top) > 2) break;  // a row further on
      const distance = Math.abs(box.left - from.left);
      if (!best || distance < best.distance) best = { place: visible[other], top: box.top, distance };
    }
    return best?.place;
  }

  const moves = {
    ArrowLeft: (place) => visible[visible.indexOf(place) - 1],
    ArrowRight: (place) => visible[visible.indexOf(place) + 1],
    ArrowUp: (place) => below(place, -1),
    ArrowDown: (place) => below(place, 1),
    Home: () => visible[0],
    End: () => visible.at(-1),
  };

  document.querySelector("main").addEventListener("keydown", (event) => {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey || !(event.key in moves)) return;
    event.preventDefault();
    focus(moves[event.key](Number(card.dataset.place)));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || viewer.open) return;
    if (event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    $("search").focus();
    $("search").select();
  });

  document.querySelector("main").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    const place = Number(card.dataset.place);
    makeCurrent(place);
    if (event.target.closest(".copy")) copy(entries[place].request); else if (event.target.closest(".frame")) open(place);
  });

  // One video

  const viewer = $("viewer");
  const film = $("film");
  let opened;

  function open(place) {
    stop(place);
    show(place);
    if (!viewer.open) viewer.showModal();
    $("close").focus();
  }

  function show(place) {
    opened = place;
    const entry = entries[place];
    const index = visible.indexOf(place);
    $("viewer-title").textContent = entry.prompt ?? entry.name;
    $("position").textContent = `${index + 1} / ${visible.length}`;
    $("previous").disabled = index <= 0;
    $("next").disabled = index === visible.length - 1;
    $("copy").hidden = entry.request === undefined;
    $("alike").hidden = entry.group === undefined;
    $("details").replaceChildren(...details(entry).flatMap(([name, text]) => [
      element("dt", { textContent: name }), element("dd", { textContent: text, dir: "auto" }),
    ]));
    screen(entry);
  }

  function screen(entry) {
    film.hidden = $("file").hidden = entry.link === undefined;
    $("absence").hidden = entry.link !== undefined;
    if (entry.link === undefined) {
      release();
      const [headline, reason, command] = $("absence").children;
      headline.textContent = entry.state;
      reason.textContent = entry.reason ?? "";
      command.textContent = entry.command ?? "";
      command.hidden = entry.command === undefined;
      return;
    }
    $("file").href = entry.link;
    film.src = entry.link;
    film.play().catch(() => {});  // then it waits for a click
  }

  function release() {
    film.pause();
    film.removeAttribute("src");
    film.load();
  }

  function details(entry) {
    const [queued, submitted, accepted, settled] = entry.times ?? [];
    const rows = [
      ["State", entry.state], ["Reason", entry.reason], ["To do", entry.command], ["Model", entry.model], ["Tag", entry.tag],
      ...(entry.parameters ?? []),
      ["Cost", entry.price], ["Time taken", span(entry.took)], ["Queued", when(queued)], ["Submitted", when(submitted)],
      ["Accepted", when(accepted)], [entry.request || entry.id ? "Finished" : "Changed", when(settled)],
      ["Polls", entry.polls || undefined], ["File", entry.file], ["Generation", entry.id], ["Key", entry.name],
    ];
    return rows.filter(([, text]) => text !== undefined && text !== "");
  }

  function when(seconds) {
    if (typeof seconds !== "number") return undefined;
    const date = new Date(seconds * 1000);
    return Number.isNaN(date.getTime()) ? undefined : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }

  function span(seconds) {
    if (typeof seconds !== "number") return undefined;
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
    return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function step(by) {
    const place = visible[visible.indexOf(opened) + by];
    if (place !== undefined) show(place);
  }

  viewer.addEventListener("keydown", (event) => {
    // A focused film moves by arrows, too: in time.
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === film) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  });
  viewer.addEventListener("close", () => {
    release();
    focus(opened);
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  film.addEventListener("error", () => {
    if (!film.hasAttribute("src")) return;
    const [headline, reason, command] = $("absence").children;
    headline.textContent = "No picture";
    reason.textContent = "This browser cannot play the file, or cannot find it.";
    command.hidden = true;
    $("absence").hidden = false;
    film.hidden = true;
  });
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => viewer.close());
  $("copy").addEventListener("click", () => copy(entries[opened].request));
  $("alike").addEventListener("click", () => {
    viewer.close();
    for (const id of ["search", "model", "state", "tag"]) if ($(id)) $(id).value = "";
    compare(true);
    focus(opened);
    cards[opened].closest(".group").scrollIntoView({ block: "start" });
  });

  // Copying. Where a page may not use the clipboard, as from a file in some browsers, there is the old way.

  async function copy(text) {
    say(await copied(text) ? "Request copied" : "The browser does not let this page copy");
  }

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copiedByHand(text);
    }
  }

  function copiedByHand(text) {
    const before = document.activeElement;
    const area = element("textarea", { value: text, className: "unseen" });
    (viewer.open ? viewer : document.body).append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
    return isCopied;
  }

  let silence;

  function say(text) {
    const message = $("message");
    (viewer.open ? viewer : document.body).append(message);  // beside an open dialog, nothing is heard or seen
    message.textContent = text;
    message.classList.add("on");
    clearTimeout(silence);
    silence = setTimeout(() => message.classList.remove("on"), 1800);
  }

  // A page that is served follows its journal: the head, and each card that has changed, are sent anew.

  function follow() {
    const title = document.title;
    const news = new EventSource(`events?after=${root.dataset.live}`);
    news.addEventListener("update", ({ data }) => {
      const { head, shape, cards: changed } = JSON.parse(data);
      document.querySelector(".masthead").innerHTML = head;  // of this page's own server, which escapes all texts
      root.dataset.shape = shape;
      const { value, max } = document.querySelector("progress");
      document.title = value < max ? `${value}/${max} ${title}` : title;
      changed.forEach(replace);
      if (changed.length) { refill(); arrange(); }
      tick();
    });
    news.addEventListener("restart", () => location.reload());
    news.addEventListener("open", () => root.classList.remove("lost"));
    news.addEventListener("error", () => root.classList.add("lost"));
    setInterval(tick, 1000);
    refill();
    tick();
  }

  function replace({ place, card: text, entry }) {
    const template = element("template", { innerHTML: text });
    const [card, old] = [template.content.firstElementChild, cards[place]];
    const hadFocus = old?.contains(document.activeElement);
    entries[place] = entry;
    haystacks[place] = haystack(entry);
    if (old) { nearby.unobserve(old); old.replaceWith(card); } else $("sheet").append(card);
    mount(card);
    if (place === current) makeCurrent(place);
    if (hadFocus) frames[place].focus({ preventScroll: true });
    if (viewer.open && opened === place) show(place);
  }

  function refill() {
    for (const id of ["model", "state", "tag"]) {
      const [all, ...old] = $(id).options;
      const values = [...new Set(entries.map((entry) => entry[id]).filter(Boolean))].sort();
      if (values.join("\n") === old.map((option) => option.value).join("\n")) continue;
      const value = $(id).value;
      const short = (text) => id === "model" ? text.replace(/^[^/]*\//, "") : text;
      $(id).replaceChildren(all, ...values.map((text) => new Option(short(text), text)));
      $(id).value = value;
    }
    $("compare").hidden = !entries.some((entry) => entry.group !== undefined);
  }

  function tick() {
    for (const age of document.querySelectorAll(".age")) age.textContent = span(Math.max(0, Date.now() / 1000 - age.dataset.since));
  }

  for (const time of document.querySelectorAll("time[data-local]")) {
    time.textContent = when(Date.parse(time.dateTime) / 1000) ?? time.textContent;
  }
  arrange();
  if (root.dataset.live) follow();
})();
