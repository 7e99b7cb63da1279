// What stops the runner, and what stops one event.

/** Ends the runner with one line: the rule, what came, what to do. */
export class EdgeError extends Error {}

/** An event that is not taken: `reason` is that of a dead letter, the text says which column, and what came. */
export class RefusedError extends Error {
  constructor(reason, detail) {
    super(detail);
    this.reason = reason;
  }
}

/** An event that is in the windows and has no prediction: a function failed on it, or a sum went beyond a double. */
export class UnscorableError extends Error {}

/** A number that no double holds. */
export class OverflowError extends Error {}
