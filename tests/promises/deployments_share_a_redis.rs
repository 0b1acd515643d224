//! Two deployments may use one Redis, even by the same prefix: their people do not hear each other's notifications.

use crate::support::{Clients, Ground, Postgres, Redis, Server, Shared, booking, on_postgres};

#[test]
fn nobody_hears_what_another_deployment_sends() {
    if !on_postgres() {
        return;
    }
    let redis = Redis::shared().url();
    let grounds: [Ground; 2] = [(); 2].map(|()| Shared::of(Postgres::shared(), &redis).into());
    let servers = grounds.each_ref().map(|ground| Server::on(ground, &[("redis.prefix", "carillon:")]));
    let [ours, theirs] = servers.each_ref().map(Clients::of);
    let (our_page, their_page) = (ours.facilitator(2), theirs.facilitator(2));
    let (our_backend, their_backend) = (ours.backend(), theirs.backend());
    for number in 1..=20 {
        our_backend.call("booking_notification", booking(number, 2));
        let receipt = our_backend.call("booking_notification", booking(number, 3));
        assert!(receipt["stored_at"].is_string(), "{receipt}");
        their_backend.call("booking_notification", booking(1_000 + number, 2));
    }
    let stranger = theirs.facilitator(3);
    our_backend.call("booking_notification", booking(100, 3));
    for (page, first) in [(&our_page, 1), (&their_page, 1_001)] {
        let heard = page.hear_many("new_booking_notification", 20);
        let numbers: Vec<_> = heard.iter().filter_map(|one| one["booking_id"].as_u64()).collect();
        assert_eq!(numbers, (first..first + 20).collect::<Vec<_>>());
    }
    their_backend.call("booking_notification", booking(2_000, 3));
    assert_eq!(stranger.hear("new_booking_notification")["booking_id"], 2_000, "the first that it hears");
}
