//! A node of a Redis cluster may be restarted: what is booked at one server is soon heard at once at the other again,
//! whichever Redis node has the person's channel. Meanwhile the database has it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Clients, Cluster, RedisCluster, Shared, booking, eventually, on_postgres};

/// What comes later came by looking into the database.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn every_channel_is_heard_again() {
    if !on_postgres() {
        return;
    }
    let redis = RedisCluster::start();
    let cluster = Cluster::on(&Shared::fresh().with_redis(&redis.url()).into(), 2, &[]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let back_end = here.backend();
    // Enough for each Redis node to have some.
    let pages: Vec<_> = (0..12).map(|id| there.facilitator(id)).collect();
    let mut nodes = redis.into_nodes();
    let mut numbers = 1..;
    for (victim, pause) in [(1, 300), (2, 600), (0, 900)] {
        nodes[victim].kill();
        sleep(Duration::from_millis(pause));
        nodes[victim].start();
        for (id, page) in (0..).zip(&pages) {
            eventually(&format!("person {id} hears at once; Redis node {victim} was restarted"), || {
                let (number, start) = (numbers.next()?, Instant::now());
                let receipt = back_end.call("booking_notification", booking(number, id));
                assert_eq!(page.hear("new_booking_notification")["booking_id"], number);
                // Redis has handed it to the other server: it did not find it by itself.
                (receipt["delivered_at"].is_string() && start.elapsed() < AT_ONCE).then_some(())
            });
        }
    }
}
