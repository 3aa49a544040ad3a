/** The login at the identity provider, which returns to the requested page. */
export function loginAt(path: string, search: string): string {
  const query = new URLSearchParams(search)
  query.delete('login')
  const rest = query.toString()
  return `/api/v1/auth/oidc/login?to=${encodeURIComponent(rest ? `${path}?${rest}` : path)}`
}
