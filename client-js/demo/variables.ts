// Something to begin with, for the variables of templates; a visitor may write what they like.

const days = (count: number): string => {
  const date = new Date(Date.now() + count * 86_400_000);
  date.setUTCMinutes(0, 0, 0);
  return date.toISOString().replace(".000", "");
};

const EXAMPLES: Readonly<Record<string, () => unknown>> = {
  action_required: () => "Please read and sign",
  assignment: () => "Essay on rivers",
  attendees: () => ["Ms Okafor", "Mr Lindqvist"],
  case_manager: () => "Ms Okafor",
  compliance_status: () => "on track",
  course_name: () => "Geography",
  date: () => days(0),
  days_remaining: () => 7,
  deadline_date: () => days(7),
  document_name: () => "Learning plan",
  ends_at: () => days(2),
  grade: () => 92,
  location: () => "Room 12",
  meeting_date: () => days(3),
  meeting_type: () => "annual review",
  message: () => "The library closes early today.",
  notifications_by_type: () => ({ grade_update: { count: 1, notifications: [{ title: "A grade was posted" }] } }),
  other_types: () => ({ count: 2 }),
  reason: () => "dentist",
  report_period: () => "autumn",
  starts_at: () => days(1),
  status: () => "absent",
  student_name: () => "Maya",
  summary: () => "The course begins an hour later.",
  teacher: () => "Mr Lindqvist",
  title: () => "Opening hours",
  top_notifications: () => [{ title: "A grade was posted", message: "Geography: 92." }],
};

/** What stands in the field of `name` at first. Required ones have something in any case. */
export function example(template: string, name: string): string {
  if (template === "digest" && name === "summary") return JSON.stringify({ total_notifications: 1, unread_notifications: 1 });
  const value = EXAMPLES[name]?.() ?? name.replaceAll("_", " ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What a field means: a number, a list or an object if it is written as one, and text otherwise. */
export function meant(written: string): unknown {
  const text = written.trim();
  if (!/^(-?\d+(\.\d+)?$|[[{])/.test(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
