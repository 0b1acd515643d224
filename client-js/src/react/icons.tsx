import type { ReactNode } from "react";

function Icon({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <svg
      viewBox="0 0 24 24"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const BellIcon = (): ReactNode => (
  <Icon>
    <path d="M5 17h14l-2-3V10a5 5 0 0 0-10 0v4z" />
    <path d="M10 20a2 2 0 0 0 4 0M12 5V3" />
  </Icon>
);

export const CloseIcon = (): ReactNode => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

export const CheckIcon = (): ReactNode => (
  <Icon>
    <path d="M5 13l4 4L19 7" />
  </Icon>
);

export const DotIcon = (): ReactNode => (
  <Icon>
    <circle cx="12" cy="12" r="5" />
  </Icon>
);

export const BinIcon = (): ReactNode => (
  <Icon>
    <path d="M4 7h16M10 4h4M6 7l1 13h10l1-13M10 11v5M14 11v5" />
  </Icon>
);

export const SettingsIcon = (): ReactNode => (
  <Icon>
    <path d="M4 7h9M19 7h1M4 17h1M11 17h9" />
    <circle cx="16" cy="7" r="3" />
    <circle cx="8" cy="17" r="3" />
  </Icon>
);

export const BackIcon = (): ReactNode => (
  <Icon>
    <path d="M15 5l-7 7 7 7" />
  </Icon>
);
