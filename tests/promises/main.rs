//! The promises to the users, kept by the real server to real clients. Each file is one promise.

mod support;

mod a_back_end_is_slowed_not_refused;
mod a_booking_to_someone_present_comes_once;
mod a_dead_sockets_booking_comes_again;
mod a_full_disk_is_told_and_mended;
mod a_graceful_stop_loses_nothing;
mod a_malformed_event_harms_nobody;
mod a_resend_is_answered_as_before;
mod a_slow_reader_stalls_nobody;
mod a_token_ends_while_its_socket_lives;
mod bookings_survive_sigkill;
mod bursts_arrive_whole;
mod every_required_field_is_checked;
mod foreign_pages_and_protocols_stay_out;
mod forged_tokens_are_refused;
mod guessing_slows_only_the_guesser;
mod health_tells_the_truth;
mod limits_hold;
mod logs_name_nobody;
mod many_nodes_are_one;
mod metrics_count;
mod nobody_reads_anothers;
mod offline_facilitators_hear_on_return;
mod one_server_per_database;
mod online_facilitators_hear_at_once;
mod only_back_ends_book;
mod production_needs_secrets;
mod read_stays_read;
mod settings_are_explained;
mod sockets_are_limited_per_owner;
mod stats_add_up;
mod tenants_are_apart;
mod the_first_event_is_not_lost;
mod torn_lines_heal;
