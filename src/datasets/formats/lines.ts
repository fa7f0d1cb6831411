import { createReadStream } from 'node:fs'
import { Fc7Error, messageOf } from '../../base/errors.js'

const maxRecordLength = 1 << 20

export function brokenList(path: string, line: number, what: string, cause?: unknown): Fc7Error {
  return new Fc7Error('LIST_BROKEN', `${path}, line ${line}: ${what}.`, {
    hint: 'Correct the line; a list is CSV with a header or JSON Lines, in UTF-8, with a column "path".',
    cause,
  })
}

/** A file's text piece by piece. @throws Fc7Error LIST_BROKEN if it is not UTF-8 */
async function* readText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 16 }))
      yield decoder.decode(chunk as Buffer, { stream: true })
    yield decoder.decode()
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw new Fc7Error('LIST_BROKEN', `${path} cannot be read as text in UTF-8: ${messageOf(error)}.`, {
      hint: 'Save it as UTF-8.',
      cause: error,
    })
  }
}

/** Lines with their numbers from 1. */
export async function* readLines(path: string): AsyncGenerator<{ line: number; text: string }> {
  let rest = ''
  let line = 0
  for await (const text of readText(path)) {
    rest += text
    let start = 0
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      yield { line: ++line, text: rest.slice(start, end) }
      start = end + 1
    }
    rest = rest.slice(start)
    if (rest.length > maxRecordLength) throw brokenList(path, line + 1, `longer than ${maxRecordLength} characters`)
  }
  if (rest !== '') yield { line: ++line, text: rest }
}

/** A record of a CSV file, with the number of the line where it begins. */
export interface CsvRecord {
  readonly line: number
  readonly fields: string[]
}

/** Turns text that comes piece by piece into records. */
class CsvParser {
  readonly #path: string
  readonly #separator: string
  #fields: string[] = []
  #value = ''
  #state: 'start' | 'plain' | 'quoted' | 'quote' = 'start'
  /** Characters of the record so far. */
  #length = 0
  #line = 1
  /** The line where the record begins. */
  #begin = 1

  constructor(path: string, separator: string) {
    this.#path = path
    this.#separator = separator
  }

  /** Records that end in `text`. @throws Fc7Error LIST_BROKEN */
  *feed(text: string): Generator<CsvRecord> {
    for (let i = 0; i < text.length; i++) {
      const c = text[i]!
      if (c === '\n') this.#line++
      if (++this.#length > maxRecordLength)
        throw brokenList(this.#path, this.#begin, `longer than ${maxRecordLength} characters`)
      if (this.#state === 'quoted') {
        if (c === '"') this.#state = 'quote'
        else this.#value += c
      } else if (c === '\n') {
        const record = this.#endRecord()
        if (record) yield record
      } else this.#unquoted(c)
    }
  }

  /** The last record, where no line end follows it. @throws Fc7Error LIST_BROKEN */
  *end(): Generator<CsvRecord> {
    if (this.#state === 'quoted') throw brokenList(this.#path, this.#begin, 'a quote is never closed')
    if (this.#value === '' && this.#fields.length === 0) return
    this.#endField()
    yield { line: this.#begin, fields: this.#fields }
  }

  #unquoted(c: string): void {
    if (c === '"' && this.#state === 'start') this.#state = 'quoted'
    else if (c === '"' && this.#state === 'quote') {
      this.#value += '"'
      this.#state = 'quoted'
    } else if (c === this.#separator) this.#endField()
    else if (c === '\r') {
      if (this.#state === 'start') this.#state = 'plain'
    } else {
      if (this.#state === 'quote') throw brokenList(this.#path, this.#line, 'something follows a closing quote')
      this.#value += c
      this.#state = 'plain'
    }
  }

  #endField(): void {
    this.#fields.push(this.#value)
    this.#value = ''
    this.#state = 'start'
  }

  /** Empty lines are no records. */
  #endRecord(): CsvRecord | undefined {
    this.#endField()
    const record = { line: this.#begin, fields: this.#fields }
    this.#fields = []
    this.#length = 0
    this.#begin = this.#line
    return record.fields.length > 1 || record.fields[0] !== '' ? record : undefined
  }
}

/** Text up to at least the end of the first line. @throws Fc7Error LIST_BROKEN */
async function readHead(path: string, pieces: AsyncIterator<string>): Promise<string> {
  let head = ''
  while (!head.includes('\n')) {
    const { value, done } = await pieces.next()
    if (done) break
    head += value
    if (!head.includes('\n') && head.length > maxRecordLength)
      throw brokenList(path, 1, `longer than ${maxRecordLength} characters`)
  }
  return head
}

function separatorOf(head: string): string {
  const first = (head.split('\n', 1)[0] ?? '').replace(/"[^"]*"/g, '')
  return [',', ';', '\t'].reduce((best, c) => (first.split(c).length > first.split(best).length ? c : best))
}

/**
 * Records of a CSV file (RFC 4180: fields in quotes may hold the separator, line ends and doubled quotes). The
 * separator is the one of comma, semicolon and tab that the first line has most of outside quotes.
 *
 * @throws Fc7Error LIST_BROKEN
 */
export async function* readCsv(path: string): AsyncGenerator<CsvRecord> {
  const pieces = readText(path)
  try {
    const head = await readHead(path, pieces)
    const parser = new CsvParser(path, separatorOf(head))
    yield* parser.feed(head)
    for await (const piece of pieces) yield* parser.feed(piece)
    yield* parser.end()
  } finally {
    await pieces.return(undefined)
  }
}
