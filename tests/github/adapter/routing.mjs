// A table of `{method, path, handle}` and nothing more: `:name` takes one segment.

export function compileRoutes(routes) {
  return routes.map((route) => ({
    ...route,
    pattern: new RegExp(`^${route.path.replace(/:([a-z_]+)/g, "(?<$1>[^/]+)")}$`),
  }));
}

/** @returns `{route, params}` or undefined */
export function findRoute(routes, method, path) {
  for (const route of routes) {
    const match = route.method === method ? route.pattern.exec(path) : null;
    if (match) return { route, params: { ...match.groups } };
  }
  return undefined;
}
