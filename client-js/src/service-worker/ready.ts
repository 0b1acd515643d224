// A service worker that is ready as it is: `carillon-sw.js`, for pages that have none of their own. Where it differs from
// what is usual is told by its address: `/carillon-sw.js?home=/inbox&icon=/icon.png`.

import { handlePushes, type WorkerScope } from "./worker.js";

declare const self: WorkerScope & { readonly location: { readonly search: string } };

const said = new URLSearchParams(self.location.search);
const option = <Name extends string>(name: Name) => {
  const value = said.get(name);
  return value === null ? {} : ({ [name]: value } as Record<Name, string>);
};

handlePushes(self, { ...option("home"), ...option("icon"), ...option("badge"), ...option("stopTitle") });
