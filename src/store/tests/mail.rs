//! Mails: made of alerts once, collected while they wait, repeated word for word when nobody knows.

use std::sync::Arc;

use super::*;
use crate::domain::alert::{self, AlertKind};
use crate::store::{Addressed, Collected, GivenUp, LeasedMail, MailOverview, MailTrouble, Offered, Router, StoreError};

pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(15);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Everything to `to`, reports alone; codes of the disk at the hour given.
pub(super) fn all_to(to: &[&str], disk_due: Option<Timestamp>) -> Router {
    let to: Vec<String> = to.iter().map(ToString::to_string).collect();
    Arc::new(move |told| {
        let kind = if told.code == "RAPPORTO_DEL_GIORNO" { AlertKind::Report } else { alert::kind_of(&told.code) };
        let due = disk_due.filter(|_| kind == AlertKind::Disk);
        let one = |recipient: &String| Addressed {
            sender: told.sender.clone().unwrap_or_default(),
            kind,
            recipient: recipient.clone(),
            due,
            alone: kind == AlertKind::Report,
        };
        to.iter().map(one).collect()
    })
}

impl World {
    pub(super) async fn raise(&self, code: &str, times: usize) {
        for index in 0..times {
            self.store.alert(code, Some(ENTE), None, &index.to_string(), self.now()).await.unwrap();
        }
    }

    /// Until there is nothing new.
    pub(super) async fn collect(&self, router: &Router) -> usize {
        let mut mails = 0;
        loop {
            let Collected { alerts, mails: begun } = self.store.collect_alerts(router.clone(), "e.it", WINDOW, self.now()).await.unwrap();
            mails += begun;
            if alerts == 0 {
                return mails;
            }
        }
    }

    pub(super) async fn lease_mail(&self) -> Option<LeasedMail> {
        self.store.lease_mail(self.now() + HOUR, self.now()).await.unwrap()
    }

    /// Sends what is due; how many alerts each told.
    pub(super) async fn post(&self) -> Vec<(String, u64)> {
        let mut sent = Vec::new();
        while let Some(mail) = self.lease_mail().await {
            let content = self.store.mail_content(mail.lease.id).await.unwrap();
            self.store.offer_mail(mail.lease, offered("x")).await.unwrap();
            self.store.mail_sent(mail.lease, self.now()).await.unwrap();
            sent.push((mail.kind, content.codes.iter().map(|code| code.alerts).sum()));
        }
        sent
    }

    pub(super) async fn mails(&self) -> MailOverview {
        self.store.mail_overview(self.now()).await.unwrap()
    }
}

pub(super) fn offered(text: &str) -> Offered {
    Offered { subject: "s".to_owned(), text: text.to_owned(), html: "h".to_owned() }
}

#[tokio::test]
async fn the_first_goes_at_once_and_a_storm_is_one_mail_a_window() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    assert_eq!(world.collect(&router).await, 1);
    assert_eq!(world.post().await, [("persona".to_owned(), 1)]);
    // Within the window: one mail, at its end.
    world.raise("TENTATIVI_ESAURITI", 7).await;
    world.raise("NOTIFICA_NON_VISIBILE", 4).await;
    assert_eq!(world.collect(&router).await, 1);
    world.pass(SignedDuration::from_mins(14));
    assert_eq!(world.post().await, []);
    world.pass(SignedDuration::from_mins(1));
    assert_eq!(world.post().await, [("persona".to_owned(), 11)]);
    // It goes on: again at the end of the next window. Another kind is not kept waiting.
    world.raise("TENTATIVI_ESAURITI", 2).await;
    world.raise("LOTTO_SCARTATO", 1).await;
    assert_eq!(world.collect(&router).await, 2);
    assert_eq!(world.post().await, [("lotti".to_owned(), 1)]);
    world.pass(WINDOW);
    assert_eq!(world.post().await, [("persona".to_owned(), 2)]);
    // It was quiet: the next goes at once.
    world.pass(WINDOW + WINDOW);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    assert_eq!(world.post().await, [("persona".to_owned(), 1)]);
}

#[tokio::test]
async fn a_server_away_for_a_day_leaves_one_mail_a_kind_and_every_report() {
    let world = World::new();
    let router = all_to(&["a@e.it", "b@e.it"], None);
    let mut raised = 0;
    for hour in 0..24 {
        world.raise("TENTATIVI_ESAURITI", 6).await;
        world.raise("SEND_NON_RAGGIUNGIBILE", 1).await;
        if hour % 12 == 0 {
            world.raise("RAPPORTO_DEL_GIORNO", 1).await;
        }
        world.collect(&router).await;
        raised += 6;
        world.pass(HOUR);
    }
    let overview = world.mails().await;
    assert_eq!((overview.waiting, overview.oldest_due), (2 * (1 + 1 + 2), Some(world.now() - HOUR * 24)));
    let sent = world.post().await;
    let of = |kind: &str| sent.iter().filter(|(own, _)| own == kind).map(|(_, alerts)| *alerts).collect::<Vec<_>>();
    assert_eq!((of("persona"), of("remoti"), of("rapporto")), (vec![raised; 2], vec![24, 24], vec![1; 4]));
}

#[tokio::test]
async fn what_may_have_gone_is_repeated_as_it_was_and_takes_nothing_in() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    let first = world.lease_mail().await.unwrap();
    assert_eq!(world.store.offer_mail(first.lease, offered("prima")).await.unwrap().text, "prima");
    // Killed here. Another alert comes: the mail that may be out is left alone.
    assert_eq!(world.store.free_mails().await.unwrap(), 1);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    assert_eq!(world.collect(&router).await, 1);
    let again = world.lease_mail().await.unwrap();
    assert_eq!((again.lease.id, &again.message_id), (first.lease.id, &first.message_id));
    assert!(first.message_id.starts_with('<') && first.message_id.ends_with("@e.it>"));
    assert_eq!(world.store.offer_mail(again.lease, offered("dopo")).await.unwrap().text, "prima");
    let late = world.store.mail_sent(first.lease, world.now()).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    world.store.mail_sent(again.lease, world.now()).await.unwrap();
    assert_eq!(world.mails().await.repeats, 1);
}

#[tokio::test]
async fn what_the_server_certainly_has_not_takes_in_what_comes_and_is_told_anew() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    let mail = world.lease_mail().await.unwrap();
    world.store.offer_mail(mail.lease, offered("una")).await.unwrap();
    world.store.mail_put_off(mail.lease, "MESSAGGIO 452", true, world.now() + HOUR, world.now()).await.unwrap();
    world.raise("TENTATIVI_ESAURITI", 3).await;
    assert_eq!(world.collect(&router).await, 0);
    assert!(world.lease_mail().await.is_none(), "put off");
    world.pass(HOUR);
    let again = world.lease_mail().await.unwrap();
    assert_eq!((again.attempts, again.failed_at), (1, Some(world.now() - HOUR)));
    assert_eq!(world.store.offer_mail(again.lease, offered("quattro")).await.unwrap().text, "quattro");
    world.store.mail_sent(again.lease, world.now()).await.unwrap();
    assert_eq!(world.mails().await.repeats, 0);
}

#[tokio::test]
async fn a_refused_recipient_is_shown_and_told_in_the_next_report_only() {
    let world = World::new();
    let router = all_to(&["a@e.it", "b@e.it"], None);
    let given_up = |recipient: &str, error: &str| GivenUp {
        recipient: recipient.to_owned(),
        kind: "persona".to_owned(),
        sender: ENTE.to_owned(),
        error: error.to_owned(),
        at: world.now(),
    };
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    let mut want = Vec::new();
    while let Some(mail) = world.lease_mail().await {
        if mail.recipient == "b@e.it" {
            world.store.mail_given_up(mail.lease, true, "DESTINATARIO 550", world.now()).await.unwrap();
            want.push(given_up("b@e.it", "DESTINATARIO 550"));
        } else {
            world.store.mail_sent(mail.lease, world.now()).await.unwrap();
        }
    }
    assert_eq!(world.mails().await.given_up, want);
    for (day, told) in [(0, want), (1, Vec::new())] {
        world.pass(HOUR * 24);
        world.raise("RAPPORTO_DEL_GIORNO", 1).await;
        world.collect(&router).await;
        while let Some(mail) = world.lease_mail().await {
            assert_eq!(world.store.given_up_before(&mail).await.unwrap(), told, "day {day} to {}", mail.recipient);
            world.store.mail_sent(mail.lease, world.now()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_daily_mail_waits_for_its_hour_and_leases_run_out() {
    let world = World::new();
    let eight = world.now() + HOUR * 20;
    let router = all_to(&["a@e.it"], Some(eight));
    for _ in 0..3 {
        world.raise("DISCO_QUASI_PIENO", 1).await;
        world.collect(&router).await;
        world.pass(HOUR);
    }
    assert!(world.lease_mail().await.is_none());
    assert_eq!(world.store.next_mail_due().await.unwrap(), Some(eight));
    world.now.set(eight);
    let mail = world.lease_mail().await.unwrap();
    assert!(world.lease_mail().await.is_none(), "leased");
    world.pass(HOUR);
    let again = world.lease_mail().await.unwrap();
    assert_eq!(again.lease.id, mail.lease.id, "the lease ran out");
    let stale = world.store.offer_mail(mail.lease, offered("x")).await;
    assert!(matches!(stale, Err(StoreError::Stale)));
    world.store.give_back_mail(again.lease, false, world.now()).await.unwrap();
    assert_eq!(world.post().await, [("disco".to_owned(), 3)]);
}

#[tokio::test]
async fn a_thousand_alerts_are_counted_forty_are_kept_and_old_mails_are_forgotten() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 120).await;
    world.collect(&router).await;
    let mail = world.lease_mail().await.unwrap();
    let content = world.store.mail_content(mail.lease.id).await.unwrap();
    assert_eq!((content.codes[0].alerts, content.alerts.len()), (120, 40));
    world.store.mail_sent(mail.lease, world.now()).await.unwrap();
    assert_eq!(world.store.forget_mails(world.now()).await.unwrap(), 0);
    world.pass(HOUR);
    assert_eq!(world.store.forget_mails(world.now()).await.unwrap(), 1);
    let content = world.store.mail_content(mail.lease.id).await.unwrap();
    assert_eq!((content.codes.len(), content.alerts.len()), (0, 0));
}

#[tokio::test]
async fn the_trouble_of_a_server_is_kept_from_its_begin_and_without_routes_nothing_is_left_to_tell() {
    let world = World::new();
    let trouble = |at: Timestamp, error: &str| Some(MailTrouble { since: at, error: error.to_owned() });
    let begin = world.now();
    world.store.keep_mail_trouble(trouble(begin, "COLLEGAMENTO INTERROTTO")).await.unwrap();
    world.pass(HOUR);
    world.store.keep_mail_trouble(trouble(world.now(), "ACCESSO 535")).await.unwrap();
    assert_eq!(world.mails().await.trouble, trouble(begin, "ACCESSO 535"));
    world.store.keep_mail_trouble(None).await.unwrap();
    assert_eq!(world.mails().await.trouble, None);
    world.raise("DISCO_QUASI_PIENO", 3).await;
    assert_eq!(world.collect(&all_to(&[], None)).await, 0);
    assert_eq!(world.collect(&all_to(&["a@e.it"], None)).await, 0, "old news");
}

/// One rule says every day at eight, another at once: what is to be told at once does not wait for eight.
#[tokio::test]
async fn what_is_due_at_once_takes_along_what_waits_for_its_hour() {
    let world = World::new();
    let eight = world.now() + HOUR * 20;
    let daily = all_to(&["a@e.it"], Some(eight));
    let router: Router = Arc::new(move |told| {
        let at_once = told.code == "DISCO_DI_NUOVO_LIBERO";
        daily(told).into_iter().map(|one| Addressed { due: one.due.filter(|_| !at_once), ..one }).collect()
    });
    world.raise("DISCO_QUASI_PIENO", 1).await;
    assert_eq!(world.collect(&router).await, 1);
    assert!(world.lease_mail().await.is_none(), "not before eight");
    world.raise("DISCO_DI_NUOVO_LIBERO", 1).await;
    assert_eq!(world.collect(&router).await, 0, "added to the one that waits");
    assert_eq!(world.post().await, [("disco".to_owned(), 2)], "and goes now");
    // The window began with it, as with any mail that goes at once; what is for eight does not end it.
    world.raise("DISCO_DI_NUOVO_LIBERO", 1).await;
    assert_eq!(world.collect(&router).await, 1);
    world.raise("DISCO_QUASI_PIENO", 1).await;
    assert_eq!(world.collect(&router).await, 0);
    assert_eq!(world.post().await, []);
    world.pass(WINDOW);
    assert_eq!(world.post().await, [("disco".to_owned(), 2)]);
    // One that the server has put off waits as long as the server said.
    world.pass(WINDOW);
    world.raise("DISCO_QUASI_PIENO", 1).await;
    world.raise("DISCO_DI_NUOVO_LIBERO", 1).await;
    world.collect(&router).await;
    let mail = world.lease_mail().await.unwrap();
    world.store.mail_put_off(mail.lease, "DESTINATARIO 450", false, world.now() + HOUR, world.now()).await.unwrap();
    world.raise("DISCO_DI_NUOVO_LIBERO", 1).await;
    assert_eq!(world.collect(&router).await, 0);
    assert!(world.lease_mail().await.is_none());
}

#[tokio::test]
async fn a_mail_whose_answer_does_not_come_is_counted_as_one_that_is_put_off() {
    let world = World::new();
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&all_to(&["a@e.it"], None)).await;
    let first = world.now();
    for attempts in 0..3 {
        let mail = world.lease_mail().await.unwrap();
        assert_eq!((mail.attempts, mail.failed_at), (attempts, (attempts > 0).then_some(first)));
        assert_eq!(world.store.offer_mail(mail.lease, offered(&format!("{attempts}"))).await.unwrap().text, "0", "word for word");
        world.store.mail_uncertain(mail.lease, "MESSAGGIO SENZA_RISPOSTA", world.now() + HOUR, world.now()).await.unwrap();
        assert!(world.lease_mail().await.is_none(), "{attempts}: not before its hour");
        world.pass(HOUR);
    }
    let mail = world.lease_mail().await.unwrap();
    world.store.mail_given_up(mail.lease, false, "MESSAGGIO SENZA_RISPOSTA", world.now()).await.unwrap();
    let mails = world.mails().await;
    assert_eq!((mails.waiting, mails.given_up.len(), mails.repeats), (0, 1, 2));
}

/// Fifty and more recipients of another ente are given up: those of one's own are in the report all the same.
#[tokio::test]
async fn a_report_tells_of_its_own_recipients_however_many_others_there_are() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    let give_up = async |at: Timestamp| {
        while let Some(mail) = world.lease_mail().await {
            world.store.mail_given_up(mail.lease, true, "DESTINATARIO 550", at).await.unwrap();
        }
    };
    give_up(world.now()).await;
    world.pass(HOUR);
    let many: Vec<String> = (0..60).map(|number| format!("{number}@altri.it")).collect();
    world.store.alert("TENTATIVI_ESAURITI", Some("99999999999"), None, "altri", world.now()).await.unwrap();
    world.collect(&all_to(&many.iter().map(String::as_str).collect::<Vec<_>>(), None)).await;
    give_up(world.now()).await;
    world.pass(HOUR);
    world.raise("RAPPORTO_DEL_GIORNO", 1).await;
    world.collect(&router).await;
    let report = world.lease_mail().await.unwrap();
    let told = world.store.given_up_before(&report).await.unwrap();
    assert_eq!(told.iter().map(|one| one.sender.as_str()).collect::<Vec<_>>(), [ENTE]);
}
