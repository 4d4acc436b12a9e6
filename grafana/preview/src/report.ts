/** What the page tells of itself, for whoever takes the picture: is it drawn, and is it whole? */

export interface Report {
  height: number;
  /** Errors of the page, its queries and panels. */
  errors: string[];
  /** What is cut off, scrolls or sticks out, by panel. */
  overflows: string[];
  /** Panels that had nothing to show, with what they say. */
  empty: string[];
  panels: number;
}

/** Pixels: boxes of text are fractions, and a bit higher than what is drawn of them. */
const ROUNDING = 3;

/** Resolves when nothing has changed on the page for `quiet` milliseconds: icons load late. */
export function settled(root: Node, quiet: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      observer.disconnect();
      resolve();
    };
    let timer = setTimeout(done, quiet);
    const observer = new MutationObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(done, quiet);
    });
    observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
  });
}

export function overflowsOf(root: HTMLElement): string[] {
  const found = [...root.querySelectorAll<HTMLElement>('[data-panel]')].flatMap((panel) =>
    flaws(panel).map((flaw) => `panel ${panel.dataset.panel}: ${flaw}`),
  );
  if (root.scrollWidth > root.clientWidth) {
    found.push(`the page is ${root.scrollWidth} pixels wide, not ${root.clientWidth}`);
  }
  return found;
}

function flaws(panel: HTMLElement): string[] {
  const found = new Set<string>();
  const texts = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const flaw = cut(texts.currentNode as Text, panel);
    if (flaw) {
      found.add(flaw);
    }
  }
  for (const element of panel.querySelectorAll<HTMLElement>('div')) {
    const { scrollHeight, clientHeight, scrollWidth, clientWidth } = element;
    if (!/auto|scroll/.test(getComputedStyle(element).overflowY)) {
      continue;
    }
    // Tables have as many rows as there is to tell, the worst first; legends should be seen whole.
    if (scrollHeight > clientHeight + ROUNDING && !element.closest('[role="table"]')) {
      found.add(`scrolls, ${scrollHeight} pixels in ${clientHeight}: ${short(element.textContent)}`);
    }
    if (scrollWidth > clientWidth + ROUNDING) {
      found.add(`scrolls sideways, ${scrollWidth} pixels in ${clientWidth}: ${short(element.textContent)}`);
    }
  }
  return [...found];
}

/** A text is cut if it reaches out of the panel, or of an element that hides what does. */
function cut(node: Text, panel: HTMLElement): string | undefined {
  const range = document.createRange();
  range.selectNodeContents(node);
  const text = range.getBoundingClientRect();
  if (text.width === 0 || text.height === 0) {
    return undefined;
  }
  for (let at = node.parentElement; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (/auto|scroll/.test(style.overflowY)) {
      return undefined; // told once, as something that scrolls
    }
    if (at === panel || /hidden|clip/.test(style.overflowX)) {
      const box = at.getBoundingClientRect();
      const isInside =
        text.left >= box.left - ROUNDING &&
        text.right <= box.right + ROUNDING &&
        text.top >= box.top - ROUNDING &&
        text.bottom <= box.bottom + ROUNDING;
      if (!isInside) {
        return `cut off: ${short(node.textContent)}`;
      }
    }
    if (at === panel) {
      break;
    }
  }
  return undefined;
}

function short(text: string | null): string {
  const line = (text ?? '').replace(/\s+/g, ' ').trim();
  return line.length > 60 ? `${line.slice(0, 57)}...` : line;
}
