// @ts-check
/**
 * Escape sequences of terminals (ECMA-48) in the output of a program, which is hostile input.
 *
 * Only colours and weights (SGR) mean anything here. All other sequences are taken out: titles,
 * links, clipboard writes, cursor movements, and whatever else a terminal could be made to do. A
 * line becomes runs of text, each with one style; nothing of it is ever markup.
 */

/**
 * `fg` and `bg`: an index 0..15 of the theme's palette, a CSS colour "#rrggbb", or null.
 * @typedef {{
 *   fg: number | string | null, bg: number | string | null, bold: boolean, dim: boolean,
 *   italic: boolean, underline: boolean, strike: boolean, inverse: boolean, hidden: boolean,
 * }} Style
 * @typedef {{text: string, style: Style}} Run
 */

/** @type {Readonly<Style>} */
export const PLAIN = Object.freeze({
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
  hidden: false,
});

// A sequence that is longer than this is none, and so is a string that its line does not end: only
// the beginning is taken out and the rest is text, so that nothing can be hidden by opening one.
const LONGEST_SEQUENCE = 4096;
const MOST_PARAMETERS = 64;
// What has more changes of style in one line is no log but an attack on who looks at it.
const MOST_RUNS = 400;

const ESC = 0x1b;
const BEL = 0x07;

// What a control character without a sequence looks like in the text: its symbol of Unicode, as a
// byte that nobody sees is how two different lines come to look the same.
const FIRST_SYMBOL = 0x2400;
// Marks that change the direction of what follows, and characters of no width: Trojan source.
const SPECIAL =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;
const DECEIVING = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/**
 * Takes the text of one line after another and remembers the colours between them, as a terminal
 * does. `feed` wants whole lines: see `LogModel`, which cuts the stream into them.
 */
export class AnsiParser {
  constructor() {
    /** @type {Style} */
    this.style = { ...PLAIN };
  }

  /**
   * The runs of one line. Never more than its characters; neighbours of one style are one run.
   * @param {string} line
   * @returns {Run[]}
   */
  feed(line) {
    /** @type {Run[]} */
    const runs = [];
    let plain = 0;
    let at = 0;
    while (at < line.length) {
      const code = line.charCodeAt(at);
      if (code !== ESC && code !== 0x9b && code !== 0x90 && code !== 0x9d) {
        at += 1;
        continue;
      }
      this.#say(runs, line.slice(plain, at));
      const end = sequenceEnd(line, at);
      this.#obey(line.slice(at, end));
      at = end;
      plain = at;
    }
    this.#say(runs, line.slice(plain));
    return runs;
  }

  /**
   * @param {Run[]} runs
   * @param {string} raw
   */
  #say(runs, raw) {
    if (raw === "") {
      return;
    }
    const text = visible(raw);
    const last = runs[runs.length - 1];
    const isSame = last !== undefined && sameStyle(last.style, this.style);
    if (last !== undefined && (isSame || runs.length >= MOST_RUNS)) {
      last.text += text;
    } else {
      runs.push({ text, style: { ...this.style } });
    }
  }

  /** @param {string} sequence */
  #obey(sequence) {
    const match = /^(?:\x1b\[|\x9b)([0-9;:]*)m$/.exec(sequence);
    if (match !== null) {
      this.style = withCodes(this.style, match[1] ?? "");
    }
  }
}

/**
 * The text without any sequence, as it is shown: what a search looks at.
 * @param {string} line
 * @returns {string}
 */
export function withoutAnsi(line) {
  if (!SPECIAL.test(line)) {
    return line; // nearly all of them
  }
  return new AnsiParser()
    .feed(line)
    .map((run) => run.text)
    .join("");
}

/**
 * Where the sequence that begins at `at` ends; a string (title, link) has to be ended by BEL or ST.
 * @param {string} line
 * @param {number} at
 * @returns {number}
 */
function sequenceEnd(line, at) {
  const limit = Math.min(line.length, at + LONGEST_SEQUENCE);
  const isEscape = line.charCodeAt(at) === ESC;
  const kind = isEscape ? line[at + 1] : { 0x9b: "[", 0x90: "P", 0x9d: "]" }[line.charCodeAt(at)];
  const body = at + (isEscape ? 2 : 1);
  if (kind === undefined) {
    return line.length;
  }
  if (kind === "[") {
    return controlEnd(line, body, limit);
  }
  if ("]PX^_".includes(kind)) {
    return stringEnd(line, body, limit);
  }
  if (/[ -/]/.test(kind)) {
    return intermediateEnd(line, body, limit);
  }
  if (/[0-~]/.test(kind)) {
    return body;
  }
  return at + 1; // ESC before something that can't follow it: only ESC goes
}

/**
 * @param {string} line
 * @param {number} at
 * @param {number} limit
 */
function controlEnd(line, at, limit) {
  for (let end = at; end < limit; end += 1) {
    const code = line.charCodeAt(end);
    if (code >= 0x40 && code <= 0x7e) {
      return end + 1;
    }
    if (code < 0x20 || code > 0x7e) return end; // broken off: what follows is text
  }
  return limit;
}

/**
 * @param {string} line
 * @param {number} at
 * @param {number} limit
 */
function stringEnd(line, at, limit) {
  for (let end = at; end < limit; end += 1) {
    const code = line.charCodeAt(end);
    if (code === BEL || code === 0x9c) {
      return end + 1;
    }
    if (code === ESC) {
      return line[end + 1] === "\\" ? end + 2 : end;
    }
    if (code === 0x90 || code === 0x9b || code === 0x9d) {
      return end; // another one begins: this one has no end
    }
  }
  return at;
}

/**
 * @param {string} line
 * @param {number} at
 * @param {number} limit
 */
function intermediateEnd(line, at, limit) {
  let end = at;
  while (end < limit && /[ -/]/.test(line[end] ?? "")) {
    end += 1;
  }
  return Math.min(end + 1, limit);
}

/**
 * @param {Style} before
 * @param {string} parameters
 * @returns {Style}
 */
function withCodes(before, parameters) {
  let style = { ...before };
  // A colon holds the parts of one parameter together: 38:2::1:2:3 has an empty colour space.
  const codes = parameters.split(";").slice(0, MOST_PARAMETERS);
  for (let index = 0; index < codes.length; index += 1) {
    const parts = (codes[index] ?? "").split(":").slice(0, 8);
    const code = Number(parts[0] || 0);
    if (code === 38 || code === 48) {
      const [colour, used] = parts.length > 1 ? ofParts(parts) : ofCodes(codes, index);
      index += used;
      if (colour !== null) {
        style[code === 38 ? "fg" : "bg"] = colour;
      }
    } else if (code === 4 && parts[1] === "0") {
      style.underline = false;
    } else {
      style = withCode(style, code);
    }
  }
  return style;
}

/**
 * @param {Style} style
 * @param {number} code
 * @returns {Style}
 */
function withCode(style, code) {
  if (code === 0) {
    return { ...PLAIN };
  }
  if (code >= 30 && code <= 37) {
    return { ...style, fg: code - 30 };
  }
  if (code >= 40 && code <= 47) {
    return { ...style, bg: code - 40 };
  }
  if (code >= 90 && code <= 97) {
    return { ...style, fg: code - 90 + 8 };
  }
  if (code >= 100 && code <= 107) {
    return { ...style, bg: code - 100 + 8 };
  }
  return { ...style, ...(SWITCHES.get(code) ?? {}) };
}

/** @type {ReadonlyMap<number, Partial<Style>>} */
const SWITCHES = new Map(
  /** @type {[number, Partial<Style>][]} */ ([
    [1, { bold: true }],
    [2, { dim: true }],
    [3, { italic: true }],
    [4, { underline: true }],
    [7, { inverse: true }],
    [8, { hidden: true }],
    [9, { strike: true }],
    [21, { underline: true }],
    [22, { bold: false, dim: false }],
    [23, { italic: false }],
    [24, { underline: false }],
    [27, { inverse: false }],
    [28, { hidden: false }],
    [29, { strike: false }],
    [39, { fg: null }],
    [49, { bg: null }],
  ]),
);

/**
 * 38;5;N and 38;2;R;G;B: the colour, and how many further codes it took.
 * @param {string[]} codes
 * @param {number} index
 * @returns {[number | string | null, number]}
 */
function ofCodes(codes, index) {
  const kind = codes[index + 1];
  if (kind === "5") {
    return [ofTable(codes[index + 2]), 2];
  }
  if (kind === "2") {
    return [ofChannels(codes.slice(index + 2, index + 5)), 4];
  }
  return [null, codes.length]; // nobody knows how long it is, so nothing after it is believed
}

/**
 * @param {string[]} parts
 * @returns {[number | string | null, number]}
 */
function ofParts(parts) {
  if (parts[1] === "5") {
    return [ofTable(parts[2]), 0];
  }
  if (parts[1] === "2") {
    return [ofChannels(parts.slice(parts.length > 5 ? 3 : 2).slice(0, 3)), 0];
  }
  return [null, 0];
}

/**
 * @param {string | undefined} text
 * @returns {number | string | null}
 */
function ofTable(text) {
  const index = channel(text);
  if (index === null || index < 16) {
    return index;
  }
  if (index >= 232) {
    return hex([0, 0, 0].map(() => 8 + 10 * (index - 232)));
  }
  const cube = index - 16;
  const levels = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  return hex(levels.map((level) => (level === 0 ? 0 : 55 + 40 * level)));
}

/**
 * @param {string[]} texts
 * @returns {string | null}
 */
function ofChannels(texts) {
  const channels = texts.map(channel);
  if (channels.length !== 3 || channels.includes(null)) {
    return null;
  }
  return hex(/** @type {number[]} */ (channels));
}

/** @param {string | undefined} text */
function channel(text) {
  const value = /^[0-9]{0,3}$/.test(text ?? "x") ? Number(text) : 256;
  return value <= 255 ? value : null;
}

/** @param {number[]} channels */
function hex(channels) {
  return `#${channels.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * @param {Style} one
 * @param {Style} other
 */
function sameStyle(one, other) {
  return Object.keys(PLAIN).every((key) => {
    const name = /** @type {keyof Style} */ (key);
    return one[name] === other[name];
  });
}

/**
 * A piece of text with a symbol for each character that would not be seen.
 * @param {string} raw
 */
function visible(raw) {
  return raw
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, (sign) => {
      const code = sign.charCodeAt(0);
      return String.fromCharCode(code === 0x7f ? 0x2421 : FIRST_SYMBOL + code);
    })
    .replace(/[\x80-\x9f]/g, "\ufffd")
    .replace(DECEIVING, (sign) => `<U+${sign.charCodeAt(0).toString(16).toUpperCase()}>`);
}

/**
 * The classes that show a style, and the colours that no class has. Colours of programs are made
 * for one background; what is hidden is shown dimmed, since in a log everything counts.
 * @param {Style} style
 * @returns {{classes: string[], color: string, background: string}}
 */
export function appearance(style) {
  const classes = [];
  const fg = style.inverse ? (style.bg ?? "inverse") : style.fg;
  const bg = style.inverse ? (style.fg ?? "inverse") : style.bg;
  if (typeof fg === "number") {
    classes.push(`ansi-fg-${style.bold && fg < 8 ? fg + 8 : fg}`);
  } else if (fg === "inverse") {
    classes.push("ansi-fg-inverse");
  }
  if (typeof bg === "number") {
    classes.push(`ansi-bg-${bg}`);
  } else if (bg === "inverse") {
    classes.push("ansi-bg-inverse");
  }
  if (style.bold) {
    classes.push("ansi-bold");
  }
  if (style.dim || style.hidden) {
    classes.push("ansi-dim");
  }
  if (style.italic) {
    classes.push("ansi-italic");
  }
  if (style.underline) {
    classes.push("ansi-underline");
  }
  if (style.strike) {
    classes.push("ansi-strike");
  }
  return { classes, color: colour(fg), background: colour(bg) };
}

/** @param {number | string | null} value */
function colour(value) {
  return typeof value === "string" && value.startsWith("#") ? value : "";
}

// The grounds of logs in the two themes, a little nearer to the text than they are.
const GROUNDS = { light: luminance("#eef1f5"), dark: luminance("#1a1f27") };
const ENOUGH = 4.5; // WCAG 2.2, 1.4.3

/**
 * A colour like this one that can be read on the ground of a theme: programs choose theirs for the
 * terminal of whoever wrote them.
 * @param {string} wanted "#rrggbb"
 * @param {"light" | "dark"} theme
 * @returns {string}
 */
export function legible(wanted, theme) {
  const towards = theme === "light" ? 0 : 255;
  for (let part = 0; part < 1; part += 0.1) {
    const mixed = hex(
      channelsOf(wanted).map((value) => Math.round(value + (towards - value) * part)),
    );
    if (contrast(luminance(mixed), GROUNDS[theme]) >= ENOUGH) {
      return mixed;
    }
  }
  return theme === "light" ? "#000000" : "#ffffff";
}

/**
 * Black or white, whichever can be read on this ground.
 * @param {string} ground "#rrggbb"
 * @returns {string}
 */
export function textOn(ground) {
  return contrast(luminance(ground), 0) >= ENOUGH ? "#000000" : "#ffffff";
}

/** @param {string} colour */
function channelsOf(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

/**
 * Relative luminance (WCAG 2.2).
 * @param {string} colour
 */
function luminance(colour) {
  const [red = 0, green = 0, blue = 0] = channelsOf(colour).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/**
 * @param {number} one
 * @param {number} other
 */
function contrast(one, other) {
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}
