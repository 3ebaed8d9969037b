/* What is wrong with how a page looks, as a list of sentences. Evaluated in the
 * page by the tests; the value of this file is a function. WCAG 2.2 is meant
 * by contrast: 1.4.3 for text, 1.4.11 for buttons and the focus. */
() => {
	document.getAnimations().forEach((a) => a.finish());
	const wrong = [];
	const root = document.documentElement;
	const isPhone = innerWidth < 600;

	const name = (e) => {
		const text = (e.textContent || "").trim().replace(/\s+/g, " ");

		return `<${e.localName}> "${text.slice(0, 30)}"`;
	};

	/* ---- colours ---- */

	const parse = (text) => {
		const m = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/
			.exec(text);

		if (!m) {
			wrong.push(`a colour that this cannot read: ${text}`);
			return [0, 0, 0, 0];
		}
		return [+m[1], +m[2], +m[3], m[4] === undefined ? 1 : +m[4]];
	};
	const over = (top, below) => [0, 1, 2].map(
		(i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const luminance = (c) => {
		const [r, g, b] = c.slice(0, 3).map((v) => {
			const s = v / 255;

			return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
		});

		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);

		return (high + 0.05) / (low + 0.05);
	};

	/* What is painted behind an element's text, pseudo or its own. */
	const backdrop = (e, pseudo) => {
		const layers = [];

		if (pseudo)
			layers.push(parse(getComputedStyle(e, pseudo).backgroundColor));
		for (let p = e; p; p = p.parentElement) {
			const style = getComputedStyle(p);

			if (style.backgroundImage !== "none" || +style.opacity !== 1)
				wrong.push(`${name(p)}: a picture or opacity behind text`);
			layers.push(parse(style.backgroundColor));
			if (layers.at(-1)[3] === 1)
				return layers.reduceRight((below, top) => over(top, below));
		}
		wrong.push(`${name(e)}: nothing opaque is behind it`);
		return [255, 255, 255, 1];
	};
	const checkText = (e, pseudo) => {
		const style = getComputedStyle(e, pseudo);
		const size = parseFloat(style.fontSize);
		const isLarge = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
		const below = backdrop(e, pseudo);
		const ratio = contrast(over(parse(style.color), below), below);

		if (ratio < (isLarge ? 3 : 4.5))
			wrong.push(`${name(e)}: contrast ${ratio.toFixed(2)}`);
		if (size < 14)
			wrong.push(`${name(e)}: ${size} px is small`);
		return 1;
	};

	/* ---- elements ---- */

	const isShown = (e) => e.checkVisibility({ visibilityProperty: true });
	const hasText = (e) => [...e.childNodes].some(
		(n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
	let texts = 0;

	for (const e of document.body.querySelectorAll("*")) {
		if (!isShown(e))
			continue;
		if (hasText(e))
			texts += checkText(e, null);
		for (const pseudo of ["::before", "::after"]) {
			const content = getComputedStyle(e, pseudo).content;

			if (!["none", "normal", '""'].includes(content))
				checkText(e, pseudo);
		}
		const box = e.getBoundingClientRect();

		if (box.width && (box.right > root.clientWidth + 0.5 || box.left < -0.5))
			wrong.push(`${name(e)}: sticks out of the window`);
		if (hasText(e) && e.clientWidth && e.scrollWidth > e.clientWidth + 1)
			wrong.push(`${name(e)}: its content sticks out`);
	}
	if (!texts)
		wrong.push("no text is shown");
	if (root.scrollWidth > root.clientWidth)
		wrong.push(`scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}`);

	for (const e of document.querySelectorAll(".button, nav a, .brand")) {
		const box = e.getBoundingClientRect();

		if (isShown(e) && isPhone && (box.height < 44 || box.width < 44))
			wrong.push(`${name(e)}: ${box.width} x ${box.height} is small`);
	}
	for (const e of document.querySelectorAll(".button")) {
		const style = getComputedStyle(e);
		const outside = backdrop(e.parentElement, null);
		const edges = [style.backgroundColor, style.borderTopColor]
			.map((c) => contrast(over(parse(c), outside), outside));

		if (isShown(e) && Math.max(...edges) < 3)
			wrong.push(`${name(e)}: does not stand out`);
	}
	for (const e of document.querySelectorAll("a[href], button")) {
		if (!isShown(e) || e.disabled)
			continue;
		e.focus({ focusVisible: true, preventScroll: true });
		const style = getComputedStyle(e);
		const outside = backdrop(e.parentElement, null);

		if (document.activeElement !== e || style.outlineStyle === "none" ||
		    parseFloat(style.outlineWidth) < 2 ||
		    contrast(parse(style.outlineColor), outside) < 3)
			wrong.push(`${name(e)}: the focus is hard to see`);
		if (!e.textContent.trim() && !e.querySelector("img[alt]:not([alt=''])," +
		    "svg[aria-label]") && !e.ariaLabel)
			wrong.push(`${e.outerHTML.slice(0, 60)}: says nothing`);
		e.blur();
	}
	for (const e of document.images)
		if (!e.complete || !e.naturalWidth || !e.hasAttribute("alt"))
			wrong.push(`${e.src}: not shown, or without alt`);

	/* ---- the document ---- */

	if (!document.title.trim() || /[{}<>]/.test(document.title))
		wrong.push(`title: "${document.title}"`);
	if (/[{}]|\bundefined\b|\(none\)/.test(document.body.innerText))
		wrong.push("something of a template is left in the text");
	for (const what of ["main", "h1"])
		if (document.querySelectorAll(what).length !== 1)
			wrong.push(`not one ${what}`);
	let level = 0;

	for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
		if (+e.localName[1] > level + 1)
			wrong.push(`${name(e)}: skips a level`);
		level = +e.localName[1];
	}
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);

	if (new Set(ids).size !== ids.length)
		wrong.push("an id is there twice");
	if (document.querySelectorAll("[style], [onclick], script:not([src]), style")
		.length)
		wrong.push("a style or script inside the page");
	return [...new Set(wrong)];
}
