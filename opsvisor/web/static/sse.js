// @ts-check
/**
 * Server-sent events, read from a fetch. The browser's own EventSource hides the status and the
 * body of a refusal, and a page that can't say why it shows nothing is no help.
 */

/** @typedef {{event: string, data: string, id: string | null}} Message */

/** Puts messages together from pieces of text, however they are cut (HTML, 9.2.6). */
export class Messages {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];
  /** @type {string | null} */
  #id = null;

  /**
   * All messages that are complete with this piece.
   *
   * @param {string} piece
   * @returns {Message[]}
   */
  take(piece) {
    const found = [];
    const text = this.#rest + piece;
    // A CR at the end may be half of a CRLF.
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + (whole === text ? "" : "\r");
    for (const line of lines) {
      const message = this.#line(line);
      if (message) {
        found.push(message);
      }
    }
    return found;
  }

  /**
   * @param {string} line
   * @returns {Message | null}
   */
  #line(line) {
    if (line === "") {
      const message = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
      const is_whole = this.#data.length > 0;
      this.#event = "";
      this.#data = [];
      return is_whole ? message : null;
    }
    const at = line.indexOf(":");
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "event") {
      this.#event = value;
    } else if (field === "data") {
      this.#data.push(value);
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    }
    return null;
  }
}

/**
 * The messages of a response, as they come. `onSign` is told of every sign of life, comments
 * included.
 *
 * @param {Response} response
 * @param {() => void} [onSign]
 * @returns {AsyncGenerator<Message>}
 */
export async function* messagesOf(response, onSign = () => {}) {
  const messages = new Messages();
  const decoder = new TextDecoder();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        return;
      }
      onSign();
      yield* messages.take(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
