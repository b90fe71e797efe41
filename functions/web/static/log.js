// The log of a build as plain text, however it was written: colours, progress bars, a hundred thousand lines.

const MOST_LINES = 10_000;
const LINES_PER_BLOCK = 500;
const FLUSH_EVERY_MS = 100;

// Terminal sequences (ECMA-48): colours and cursor moves, titles and links, the rest; then stray control characters.
const SEQUENCES = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text without anything that is meant for a terminal. */
export function plain(text) {
  return text.replace(SEQUENCES, "").replace(CONTROLS, "");
}

/** Lines out of pieces of text. A carriage return begins its line again: that is how progress bars move. */
export class Lines {
  #open = "";
  #returned = false;

  /** The lines that `text` completes. */
  take(text) {
    const done = [];
    for (const [, words, end] of text.matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)) {
      if (words && this.#returned) this.#open = "";
      if (words) this.#returned = false;
      this.#open += words;
      if (end === "\r") this.#returned = true;
      else if (end) {
        done.push(plain(this.#open));
        this.#open = "";
        this.#returned = false;
      }
    }
    return done;
  }

  /** The line that is not complete yet. */
  get open() {
    return plain(this.#open);
  }
}

/** A log in `element`. Its end stays in sight until the reader scrolls up; of a very long one the beginning is left out. */
export class LogView {
  #element;
  #lines = new Lines();
  #waiting = [];
  #blocks = [];
  #shown = 0;
  #dropped = 0;
  #timer = 0;
  #omitted = document.createElement("div");
  #open = document.createElement("div");

  constructor(element) {
    this.#element = element;
    this.clear();
  }

  clear() {
    this.#lines = new Lines();
    this.#waiting = [];
    this.#blocks = [];
    this.#shown = this.#dropped = 0;
    this.#omitted.textContent = this.#open.textContent = "";
    this.#element.replaceChildren(this.#omitted, this.#open);
  }

  /** Add one message, which is a line of its own unless it says otherwise by ending in a carriage return. */
  write(message) {
    this.#waiting.push(message);
    this.#timer ||= setTimeout(() => this.#flush(), FLUSH_EVERY_MS);
  }

  // The page is touched a few times a second, however fast lines come.
  #flush() {
    this.#timer = 0;
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    const atEnd = scrollHeight - scrollTop - clientHeight < 40;
    const lines = this.#takeWaiting();
    while (lines.length) this.#append(lines.splice(0, LINES_PER_BLOCK));
    while (this.#shown - this.#blocks[0]?.lines >= MOST_LINES) this.#drop(this.#blocks.shift());
    if (this.#dropped) this.#omitted.textContent = `(${this.#dropped.toLocaleString("en")} earlier lines are not shown)\n`;
    this.#open.textContent = this.#lines.open;
    if (atEnd) this.#element.scrollTop = this.#element.scrollHeight;
  }

  #takeWaiting() {
    const messages = this.#waiting.splice(-MOST_LINES);
    // What would be scrolled out at once is not even looked at.
    this.#dropped += this.#waiting.filter((message) => !message.endsWith("\r")).length;
    this.#waiting = [];
    return messages.flatMap((message) => this.#lines.take(/[\r\n]$/.test(message) ? message : `${message}\n`));
  }

  #append(lines) {
    let last = this.#blocks.at(-1);
    if (!last || last.lines + lines.length > LINES_PER_BLOCK) {
      last = { element: document.createElement("div"), lines: 0 };
      this.#blocks.push(last);
      this.#open.before(last.element);
    }
    last.lines += lines.length;
    this.#shown += lines.length;
    last.element.append(lines.map((line) => `${line}\n`).join(""));
  }

  #drop(block) {
    this.#shown -= block.lines;
    this.#dropped += block.lines;
    block.element.remove();
  }
}
