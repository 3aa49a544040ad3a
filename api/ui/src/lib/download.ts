/** Gives the browser a file to keep. */
export function downloadBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob)
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

export const download = (name: string, text: string, type = 'text/csv'): void =>
  downloadBlob(name, new Blob([text], { type: `${type};charset=utf-8` }))
