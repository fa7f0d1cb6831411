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

/**
 * Records of a CSV file (RFC 4180: fields in quotes may hold the separator, line ends and doubled quotes), with the
 * number of the line where each begins. The separator is the one of comma, semicolon and tab that the first line has
 * most of outside quotes.
 */
export async function* readCsv(path: string): AsyncGenerator<{ line: number; fields: string[] }> {
  let separator: string | undefined
  let fields: string[] = []
  let value = ''
  let length = 0
  let line = 1
  let begin = 1
  let state: 'start' | 'plain' | 'quoted' | 'quote' = 'start'
  const endField = (): void => {
    fields.push(value)
    value = ''
    state = 'start'
  }
  // The first line is held back until its end, because it decides the separator.
  let head: string | undefined = ''
  for await (const piece of readText(path)) {
    let text = piece
    if (head !== undefined) {
      head += piece
      if (!head.includes('\n') && piece !== '') {
        if (head.length > maxRecordLength) throw brokenList(path, 1, `longer than ${maxRecordLength} characters`)
        continue
      }
      const first = (head.split('\n', 1)[0] ?? '').replace(/"[^"]*"/g, '')
      separator = [',', ';', '\t'].reduce((best, c) => (first.split(c).length > first.split(best).length ? c : best))
      text = head
      head = undefined
    }
    for (let i = 0; i < text.length; i++) {
      const c = text[i]!
      if (c === '\n') line++
      if (++length > maxRecordLength) throw brokenList(path, begin, `longer than ${maxRecordLength} characters`)
      if (state === 'quoted') {
        if (c === '"') state = 'quote'
        else value += c
      } else if (c === '"' && state === 'start') state = 'quoted'
      else if (c === '"' && state === 'quote') {
        value += '"'
        state = 'quoted'
      } else if (c === separator) endField()
      else if (c === '\n') {
        endField()
        if (fields.length > 1 || fields[0] !== '') yield { line: begin, fields }
        fields = []
        length = 0
        begin = line
      } else if (c === '\r') {
        if (state === 'plain' || state === 'start') state = 'plain'
      } else {
        if (state === 'quote') throw brokenList(path, line, 'something follows a closing quote')
        value += c
        state = 'plain'
      }
    }
  }
  if (state === 'quoted') throw brokenList(path, begin, 'a quote is never closed')
  if (value !== '' || fields.length > 0) {
    endField()
    yield { line: begin, fields }
  }
}
