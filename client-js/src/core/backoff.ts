/** How long to wait before attempts that follow failures: twice as long each time, up to `most`, and half of it by chance. */
export class Backoff {
  #failures = 0;

  constructor(
    private readonly random: () => number,
    private readonly first = 500,
    private readonly most = 30_000,
  ) {}

  /** Failures since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** Milliseconds until the next attempt; it counts as one more failure. */
  next(): number {
    const whole = Math.min(this.most, this.first * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return Math.round(whole * (0.5 + this.random() / 2));
  }

  succeeded(): void {
    this.#failures = 0;
  }
}
