import { readFileSync } from 'node:fs'

/** The fenced blocks of a language in a file of docs/, so that what readers copy is what tests run. */
export function snippets(file: string, language: string): string[] {
  const text = readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8')
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, own, body]) =>
    own === language ? [body!] : [],
  )
}
