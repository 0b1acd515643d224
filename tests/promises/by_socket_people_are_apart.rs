//! By every event: what is another's, by name or by tenant, is refused, or answers as what does not exist. An event
//! without a case in this table breaks the promise.

use carillon::gateway::socketio::Said;
use serde_json::{Value, json};

use crate::support::{
    Clients, Kind, Rest, Server, Socket, booking, facilitator_hello, in_seconds, note, sign, user_token,
};

/// Person 2 has one booking, one note and one topic, all of which are to stay as they are. Whoever else is here tries.
struct Stage {
    server: Server,
    clients: Clients,
    owner: Socket,
    booked: Value,
    noted: Value,
}

impl Stage {
    fn set() -> Self {
        let server = Server::start();
        let clients = Clients::of(&server);
        let owner = clients.feed(2);
        assert_eq!(owner.call("subscribe", json!({"channels": ["mine"]})), json!({"channels": ["mine"]}));
        let booked = clients.backend().call("booking_notification", booking(1, 2))["notification_id"].clone();
        let noted = Rest::backend(&server).send(&note(2, "for two"));
        owner.hear_many("notification", 2);
        Self { server, clients, owner, booked, noted }
    }

    fn token_of_a_namesake() -> String {
        sign(&json!({"sub": "2", "tenant_id": "elsewhere", "exp": in_seconds(3600)}))
    }

    /// Pages of another facilitator, and of one of the same name in another tenant; with who they say they are.
    fn pages(&self) -> [(Socket, u64); 2] {
        let hello =
            json!(["facilitator_connect", {"facilitator_id": 2, "token": Self::token_of_a_namesake()}]);
        [(facilitator_hello(3), 3), (hello, 2)].map(|(hello, id)| {
            let page = self.clients.open_with(Kind::WEBSOCKET, &[hello], json!({}));
            page.hear("facilitator_auth_success");
            (page, id)
        })
    }

    fn feeds(&self) -> [Socket; 2] {
        [user_token(3), Self::token_of_a_namesake()]
            .map(|token| self.clients.feed_by(Kind::WEBSOCKET, &token))
    }

    /// Whatever came to this socket, it was its own.
    fn was_not_told(&self, thief: &Socket) {
        let heard = thief.heard("notification");
        let mine = [&self.booked, &self.noted["id"]];
        assert!(heard.iter().all(|one| !mine.contains(&&one["number"])), "{heard:?}");
    }

    /// By each of these names, this event of the feed answers as by a name that nobody has.
    fn answers_as_unknown(&self, event: Said, field: &str) {
        for thief in self.feeds() {
            let answer = |name: &Value| {
                let mut answer = thief.call(event.name(), json!({field: name}));
                if answer[field].is_null() {
                    answer
                } else {
                    answer[field].take();
                    answer
                }
            };
            let unknown = answer(&json!(987_654));
            assert_eq!(unknown["error"], "Notification not found", "{}", event.name());
            for name in [&self.booked, &self.noted["id"], &self.noted["uuid"]] {
                assert_eq!(answer(name), unknown, "{} {name}", event.name());
            }
            self.was_not_told(&thief);
        }
    }

    /// A topic of person 2's stays theirs alone.
    fn topics_are_ones_own(&self, event: Said) {
        for thief in self.feeds() {
            let told = thief.call(event.name(), json!({"channels": ["mine"]}));
            assert_eq!(told, json!({"channels": ["mine"]}));
        }
        let foreign = json!({"userId": 2, "channels": ["mine"]});
        assert_eq!(self.feeds()[0].call(event.name(), foreign)["error"], "Unauthorized");
    }

    /// Whatever was tried, it came to nothing.
    fn is_untouched(&self) {
        let owner = Rest::user(&self.server, 2);
        for id in [&self.booked, &self.noted["id"]] {
            let held = owner.get(&format!("/api/v1/notifications/{id}")).expect(200);
            assert_eq!(held["status"], "pending", "nobody has touched it");
        }
        assert_eq!(owner.get("/api/v1/subscriptions").expect(200), json!({"topics": ["mine"]}));
        assert_eq!(owner.titles().len(), 2);
        let wishes = owner.get("/api/v1/notifications/preferences").expect(200);
        assert_eq!(wishes["channels"]["in_app"], true, "{wishes}");
        for event in ["notificationStatus", "auth_error", "error"] {
            assert!(self.owner.heard(event).is_empty(), "{event}");
        }
    }
}

fn unauthorized(answer: &Value) {
    assert_eq!(answer["error"], "Unauthorized", "{answer}");
}

type Case = (Said, fn(&Stage));

fn cases() -> Vec<Case> {
    vec![
        (Said::BookingNotification, |stage| {
            let [(page, _), _] = stage.pages();
            unauthorized(&page.call("booking_notification", booking(2, 2)));
            unauthorized(&stage.feeds()[0].call("booking_notification", booking(2, 2)));
            // A back end of another tenant books its own person of that name.
            let claims =
                json!({"sub": "s", "tenant_id": "elsewhere", "role": "service", "exp": in_seconds(60)});
            let backend = stage.clients.stranger();
            backend.call("backend_connect", json!({"token": sign(&claims)}));
            assert!(backend.call("booking_notification", booking(1, 2))["notification_id"].is_i64());
        }),
        (Said::MarkNotificationRead, |stage| {
            for (page, id) in stage.pages() {
                let mark = |facilitator: u64, id: &Value| {
                    let mark = json!({"facilitator_id": facilitator, "notification_id": id});
                    let mut answer = page.call("mark_notification_read", mark);
                    answer["notification_id"].take();
                    answer
                };
                let unknown = mark(id, &json!(987_654));
                assert_eq!(unknown["error"], "Notification not found");
                assert_eq!(mark(id, &stage.booked), unknown);
                assert_eq!(mark(id, &stage.noted["id"]), unknown);
                assert_eq!(mark(5, &stage.booked)["error"], "Unauthorized");
            }
        }),
        (Said::GetPendingNotifications, |stage| {
            for (page, id) in stage.pages() {
                let list = |id: u64| page.call("get_pending_notifications", json!({"facilitator_id": id}));
                let own = list(id);
                let bookings = own["notifications"].as_array().expect("a list");
                assert!(bookings.iter().all(|one| one["notification_id"] != stage.booked), "{own}");
                unauthorized(&list(5));
            }
        }),
        (Said::FacilitatorConnect, |stage| {
            let page = stage.clients.stranger();
            let claim = json!({"facilitator_id": 2, "token": user_token(3)});
            assert_eq!(page.call("facilitator_connect", claim)["error"], "Invalid token");
            unauthorized(&page.call("get_pending_notifications", json!({"facilitator_id": 2})));
        }),
        (Said::BackendConnect, |stage| {
            let socket = stage.clients.stranger();
            let answer = socket.call("backend_connect", json!({"token": user_token(2)}));
            assert_eq!(answer["error"], "Invalid token");
            unauthorized(&socket.call("booking_notification", booking(2, 2)));
        }),
        (Said::Authenticate, |stage| {
            for (thief, token) in stage.feeds().iter().zip([Stage::token_of_a_namesake(), user_token(2)]) {
                let answer = thief.call("authenticate", json!({"token": token}));
                assert_eq!(answer["error"], "Invalid token", "nobody becomes somebody else");
                assert!(thief.call("requestMissedNotifications", json!({}))["count"].is_u64());
                stage.was_not_told(thief);
            }
        }),
        (Said::Ack, |stage| stage.answers_as_unknown(Said::Ack, "notificationId")),
        (Said::Read, |stage| stage.answers_as_unknown(Said::Read, "notificationId")),
        (Said::RequestMissedNotifications, |stage| {
            stage.answers_as_unknown(Said::RequestMissedNotifications, "since");
        }),
        (Said::Subscribe, |stage| stage.topics_are_ones_own(Said::Subscribe)),
        (Said::Unsubscribe, |stage| stage.topics_are_ones_own(Said::Unsubscribe)),
        (Said::UpdatePreferences, |stage| {
            unauthorized(&stage.clients.stranger().call("updatePreferences", json!({"email": false})));
            // Others have wishes of their own.
            for thief in stage.feeds() {
                assert_eq!(thief.call("updatePreferences", json!({"inApp": false}))["inApp"], false);
                let foreign = json!({"userId": 2, "inApp": false});
                assert_eq!(thief.call("updatePreferences", foreign)["error"], "Invalid field: preferences");
            }
        }),
    ]
}

#[test]
fn the_table_is_the_namespace() {
    let tried: Vec<_> = cases().iter().map(|(event, _)| event.name()).collect();
    let known: Vec<_> = Said::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(tried, known);
}

#[test]
fn whatever_others_say_what_is_mine_stays_mine() {
    let stage = Stage::set();
    for (event, tries) in cases() {
        println!("{}", event.name());
        tries(&stage);
        stage.is_untouched();
    }
}
