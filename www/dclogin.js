/* For a relay that signs its own certificate: asks it for an address and shows
 * that as a link and as a QR code. Without this script the link of the page
 * leads to /new, which answers a browser with a page of its own. */
"use strict";

(() => {
	const PATIENCE = 20000;		/* milliseconds */
	const link = document.getElementById("dclogin-link");
	const again = document.getElementById("dclogin-again");
	const status = document.getElementById("dclogin-status");
	const figure = document.getElementById("dclogin-qr");
	const qrLink = document.getElementById("dclogin-qr-link");
	const fallback = link.getAttribute("href");
	const address = document.createElement("strong");

	const say = (name, why) => {
		status.dataset.state = name;
		status.textContent = status.dataset[name] + (why ? ` (${why})` : "");
	};

	/* The picture as nodes; what is no SVG is not shown. */
	const picture = (text) => {
		const svg = new DOMParser().parseFromString(text, "image/svg+xml")
			.documentElement;

		if (svg.localName !== "svg")
			return null;
		svg.setAttribute("role", "img");
		svg.setAttribute("aria-label", figure.dataset.label);
		return document.importNode(svg, true);
	};

	const show = (account) => {
		const svg = account.qr_svg && picture(account.qr_svg);

		if (!String(account.dclogin_url).startsWith("dclogin:"))
			throw new Error("no dclogin link");
		link.href = qrLink.href = account.dclogin_url;
		qrLink.replaceChildren(...(svg ? [svg] : []));
		figure.hidden = !svg;
		say("ready");
		address.textContent = account.email;
		status.append(" ", address);
		again.textContent = again.dataset.more;
	};

	const refuse = (name, why) => {
		link.href = fallback;
		figure.hidden = true;
		say(name, why);
		again.textContent = again.dataset.retry;
	};

	const ask = async () => {
		const patience = new AbortController();

		setTimeout(() => patience.abort(), PATIENCE);
		const response = await fetch("/new", {
			method: "POST",
			headers: { Accept: "application/json, image/svg+xml" },
			cache: "no-store",
			credentials: "omit",
			signal: patience.signal,
		});

		if (response.status === 429)
			return refuse("often");
		const answer = await response.json();

		if (!response.ok)
			return refuse("failed", answer.reason);
		show(answer);
	};

	const start = () => {
		again.disabled = true;
		say("busy");
		ask().catch(() => refuse("failed")).finally(() => {
			again.hidden = again.disabled = false;
		});
	};

	again.addEventListener("click", start);
	start();
})();
