//! The same id in two tenants is two people: nothing crosses from one tenant to the other.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, PendingList, Server, Socket, booking, in_seconds, sign};

fn sender(clients: &Clients, tenant: &str) -> Socket {
    let claims =
        json!({"sub": "s", "scope": "notifications:send", "tenant_id": tenant, "exp": in_seconds(60)});
    let hello = json!(["backend_connect", {"token": sign(&claims)}]);
    let socket = clients.open_with(Kind::USUAL, &[hello], json!({}));
    socket.hear("backend_auth_success");
    socket
}

fn person(clients: &Clients, tenant: &str) -> Socket {
    let token = sign(&json!({"sub": "2", "tenant_id": tenant, "exp": in_seconds(60)}));
    let hello = json!(["facilitator_connect", {"facilitator_id": 2, "token": token}]);
    let socket = clients.open_with(Kind::USUAL, &[hello], json!({}));
    socket.hear("facilitator_auth_success");
    socket
}

#[test]
fn bookings_reach_their_own_tenant_only() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (here, there) = (person(&clients, "north"), person(&clients, "south"));
    let receipt = sender(&clients, "north").call("booking_notification", booking(1, 2));
    assert_eq!(here.hear("new_booking_notification")["notification_id"], receipt["notification_id"]);

    // The other one neither hears it, nor lists it, nor can mark it read; nor does the default tenant's.
    let stranger = clients.facilitator(2);
    for other in [&there, &stranger] {
        other.emit("get_pending_notifications", json!({"facilitator_id": 2}));
        assert_eq!(PendingList(other.hear("pending_notifications")).count(), 0);
        let mark = json!({"facilitator_id": 2, "notification_id": receipt["notification_id"]});
        other.emit("mark_notification_read", mark);
        assert!(other.hear("error")["error"].is_string());
        assert_eq!(other.heard("new_booking_notification"), Vec::<Value>::new());
    }
    assert_eq!(server.stats()["online_facilitators"], 3, "three people");

    // The same booking in the other tenant is another booking, not a resend.
    let second = sender(&clients, "south").call("booking_notification", booking(1, 2));
    assert_ne!(second["notification_id"], receipt["notification_id"]);
    assert_eq!(there.hear("new_booking_notification")["notification_id"], second["notification_id"]);
}
