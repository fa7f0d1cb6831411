/** One piece of long work that reports how far it is. */
export interface ProgressTask {
  /** Sets how much is done, in the task's unit; `note` is a short addition such as "3 failed". */
  update(done: number, note?: string): void
  /** Ends the task; `summary` replaces the line. */
  end(summary?: string): void
}

/** What long work reports to. The command line draws bars from it; the library's default is {@link silentProgress}. */
export interface Progress {
  task(options: {
    readonly label: string
    readonly total?: number | undefined
    readonly unit: string
    /** What an earlier run had done, which says nothing of this one's speed. Default 0. */
    readonly from?: number | undefined
  }): ProgressTask
  /** One plain line to the user, such as a decision that was taken. */
  say(line: string): void
}

export const silentProgress: Progress = {
  task: () => ({ update() {}, end() {} }),
  say() {},
}
