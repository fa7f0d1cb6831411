/** Maps with up to `ahead` calls under way at once; results come in order. */
export async function* mapOrdered<A, B>(
  source: AsyncIterable<A>,
  ahead: number,
  map: (value: A) => Promise<B>,
): AsyncGenerator<B> {
  const waiting: Promise<B>[] = []
  for await (const value of source) {
    const promise = map(value)
    // It may fail before its turn comes, or after everybody has left.
    promise.catch(() => {})
    waiting.push(promise)
    if (waiting.length >= ahead) yield await waiting.shift()!
  }
  while (waiting.length > 0) yield await waiting.shift()!
}
