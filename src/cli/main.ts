import yargs from 'yargs'
import { Fc7Error, messageOf } from '../base/errors.js'
import { visible } from '../base/text.js'
import { fc7Version } from '../base/versions.js'
import type { Command } from './command.js'
import { commands } from './commands/index.js'
import { createContext, type GlobalOptions } from './context.js'

class UsageError extends Fc7Error {}

/** Two lines on stderr, what and what to do; the stack only under `--debug`. */
function report(error: unknown, debug: boolean): number {
  const hint =
    error instanceof Fc7Error ? error.hint : 'This is a defect of fc7: run it again with --debug and report the stack.'
  process.stderr.write(`fc7: ${visible(messageOf(error))}\n${hint ? `${visible(hint)}\n` : ''}`)
  if (debug && error instanceof Error)
    process.stderr.write(
      `${error.stack}\n${error.cause ? `caused by ${(error.cause as Error).stack ?? error.cause}\n` : ''}`,
    )
  if (!(error instanceof Fc7Error)) return 1
  if (error.code === 'INTERRUPTED') return 130
  return error.code.startsWith('USAGE') ? 2 : 1
}

/**
 * yargs' first line as a sentence; what it says of missing arguments, in the command's own words; and where help is.
 */
function usageError(message: string, args: readonly string[]): UsageError {
  const usage = commands.find((command) => command.usage.split(' ')[0] === args[0])?.usage
  const line = message.split('\n')[0]!
  const missing = /^Missing required arguments?: (.+)$/.exec(line)?.[1]?.split(', ')
  const text =
    usage && line.startsWith('Not enough non-option arguments')
      ? `An argument is missing: fc7 ${usage}.`
      : missing
        ? `${missing.map((name) => `--${name}`).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing.`
        : /[.?!]$/.test(line)
          ? line
          : `${line}.`
  const help = `\`fc7 ${usage ? args[0] : '<command>'} --help\``
  const choice = /^Invalid values:\n\s*Argument: (.+?), Given: (.+), Choices: (.+)$/m.exec(message)
  if (choice) {
    const [, name, given, choices] = choice
    return new UsageError('USAGE', `--${name} cannot be ${given}.`, { hint: `It is one of ${choices}; see ${help}.` })
  }
  return new UsageError('USAGE', text, { hint: `See ${help}.` })
}

/** yargs makes a list of an option that is given twice, even where one value is meant. */
function refuseRepeats(options: Readonly<Record<string, unknown>>, lists: readonly string[]): void {
  // yargs offers --trained-on as trainedOn too, and lists the first only.
  const camel = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const allowed = new Set(['_', ...lists, ...lists.map(camel)])
  for (const [name, value] of Object.entries(options)) {
    if (!Array.isArray(value) || allowed.has(name)) continue
    throw new UsageError('USAGE_REPEATED', `--${name} is given ${value.length} times.`, { hint: 'Give it once.' })
  }
}

/** fc7's name, its options of every command, and what it says of wrong usage. */
const createParser = (args: readonly string[]) =>
  yargs([...args])
    .scriptName('fc7')
    .usage(
      '$0 <command>\n\nTransfer learning for images: embeddings from a pretrained CNN, classifiers compared ' +
        'fairly, offline reports.',
    )
    .version(fc7Version)
    .help()
    .alias('h', 'help')
    .strict()
    .demandCommand(1, 'Which command? `fc7 --help` lists them.')
    .recommendCommands()
    .parserConfiguration({ 'parse-positional-numbers': false })
    .option('json', { type: 'boolean', default: false, global: true, describe: 'One JSON document on stdout' })
    .option('quiet', { type: 'boolean', default: false, global: true, describe: 'No progress' })
    .option('debug', { type: 'boolean', default: false, global: true, describe: 'Show stacks of errors' })
    .option('seed', { type: 'number', default: 0, global: true, describe: 'Seed of every random choice' })
    .option('cache', { type: 'string', global: true, describe: 'Cache folder' })
    .option('offline', { type: 'boolean', default: false, global: true, describe: 'Never touch the network' })
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      if (error) throw error
      throw usageError(message, args)
    })

/** The parser with every command; a command's file is loaded when its options or its help are asked for. */
function parserOf(args: readonly string[], signal: AbortSignal): ReturnType<typeof createParser> {
  const parser = createParser(args)
  for (const { usage, describe, load } of commands) {
    let command: Command
    parser.command(
      usage,
      describe,
      async (y) => {
        command = await load()
        return command.options(y.example(...command.example))
      },
      async (options) => {
        refuseRepeats(options, (parser as unknown as { getOptions(): { array: string[] } }).getOptions().array)
        await command.run(options as never, createContext(options as unknown as GlobalOptions, signal))
      },
    )
  }
  return parser
}

/** Parses the arguments, runs one command and sets the exit code: 0, 1 failed, 2 wrong usage, 130 interrupted. */
export async function main(args: readonly string[]): Promise<void> {
  const controller = new AbortController()
  let interrupts = 0
  const interrupt = (): void => {
    interrupts++
    if (interrupts > 1) process.exit(130)
    process.stderr.write('\nStopping after what is being written (Ctrl-C again stops at once) ...\n')
    controller.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  // A reader that closes the pipe early (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const debug = args.includes('--debug')
  const parser = parserOf(args, controller.signal)
  try {
    await parser.parseAsync()
  } catch (error) {
    process.exitCode = report(error, debug)
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}
