//! Bookings as a back end tells them, and lists as a facilitator gets them.

use serde_json::{Value, json};

pub fn booking(booking_id: u64, facilitator_id: u64) -> Value {
    json!({
        "booking_id": booking_id,
        "user": {"id": 5, "name": "Jane Smith", "email": "jane@example.com"},
        "session": {"id": 1, "title": "Morning Meditation", "start_time": "2024-01-15T09:00:00"},
        "facilitator_id": facilitator_id,
    })
}

/// A booking of about `bytes` bytes.
pub fn large_booking(booking_id: u64, facilitator_id: u64, bytes: usize) -> Value {
    let mut large = booking(booking_id, facilitator_id);
    large["session"]["notes"] = Value::from("x".repeat(bytes));
    large
}

/// The body of a `pending_notifications` event.
pub struct PendingList(pub Value);

impl PendingList {
    pub fn count(&self) -> u64 {
        self.0["count"].as_u64().expect("a list tells its count")
    }

    pub fn notifications(&self) -> &[Value] {
        self.0["notifications"].as_array().expect("a list holds notifications")
    }

    pub fn booking_ids(&self) -> Vec<u64> {
        booking_ids(self.notifications())
    }
}

pub fn booking_ids(notifications: &[Value]) -> Vec<u64> {
    numbers(notifications, "booking_id")
}

pub fn notification_ids(notifications: &[Value]) -> Vec<u64> {
    numbers(notifications, "notification_id")
}

fn numbers(notifications: &[Value], field: &str) -> Vec<u64> {
    let number = |n: &Value| n[field].as_u64().unwrap_or_else(|| panic!("no {field} in {n}"));
    notifications.iter().map(number).collect()
}
