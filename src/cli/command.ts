import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { CommandContext, GlobalOptions } from './context.js'

/** One command, one file: it declares its options, calls a library function and prints. */
export interface Command<Options = Record<string, unknown>> {
  /** A command line that works, for `--help`. */
  readonly example: readonly [command: string, what: string]
  options(yargs: Argv<object>): Argv<Options>
  run(options: ArgumentsCamelCase<Options> & GlobalOptions, context: CommandContext): Promise<void>
}

/** A command before it is loaded: what `fc7 --help` shows of it. */
export interface CommandEntry {
  readonly usage: string
  readonly describe: string
  load(): Promise<Command>
}

/** Keeps the options' types together; the list of commands forgets them. */
export function defineCommand<Options>(command: Command<Options>): Command {
  return command as unknown as Command
}
