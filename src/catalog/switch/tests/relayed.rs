//! What a sender decided, and what stands here whatever it says.

use super::*;

#[tokio::test]
async fn what_others_decided_stands_whatever_a_sender_says() {
    let site = site();
    let us = || Actor::Operator;
    let projects = ["alpha", "beta", "gamma", "delta", "epsilon"];
    let wanted = projects.map(|project| judgment(project, "1.0", "admit", ""));
    let judgments = site.prepared(b"first", wanted.to_vec()).await;
    let switch = Switch {
        judgments,
        ..empty(b"first", None)
    };
    site.switch(switch, 1).await.unwrap();
    let [alpha, beta, gamma, delta, epsilon] = projects.map(|project| file(project, "1.0"));

    // The operator yanks one and revokes another; the sender yanks and revokes two more, and takes all of it back.
    site.decide(&alpha, Change::Yank, us()).await;
    site.decide(&beta, Change::Revoke, us()).await;
    let switch = Switch {
        changes: vec![
            change(&alpha, Change::Yank),
            change(&beta, Change::Revoke),
            change(&gamma, Change::Yank),
            change(&delta, Change::Revoke),
            change(&epsilon, Change::Revoke),
            change(&file("unknown", "1.0"), Change::Revoke),
        ],
        ..empty(b"second", None)
    };
    let switched = site.switch(switch, 2).await.unwrap();
    assert_eq!(switched.changed, [false, false, true, true, true, false]);
    assert_eq!((switched.counts.yanked, switched.counts.revoked), (1, 2));
    // The operator makes one of the sender's revocations their own.
    site.decide(&epsilon, Change::Revoke, us()).await;
    assert_eq!(site.row(&epsilon).await.revoked_by, Some(us()));

    let back = Switch {
        changes: vec![
            change(&alpha, Change::Unyank),
            change(&beta, Change::Restore),
            change(&gamma, Change::Unyank),
            change(&delta, Change::Restore),
            change(&epsilon, Change::Restore),
        ],
        ..empty(b"third", None)
    };
    let switched = site.switch(back, 3).await.unwrap();
    assert_eq!(switched.changed, [false, false, true, true, false]);
    assert_eq!(site.row(&alpha).await.yanked.unwrap().by, us());
    assert_eq!(site.row(&beta).await.state, FileState::Revoked);
    assert_eq!(site.row(&gamma).await.yanked, None);
    assert_eq!(site.row(&delta).await.state, FileState::Admitted);
    assert_eq!(site.row(&epsilon).await.state, FileState::Revoked);

    // A status that the operator set stands; one of the sender's is the sender's to change.
    let own = |status| {
        site.catalog
            .set_status(alpha.project.clone(), status, None, us(), time(4))
    };
    own(Status::Quarantined).await.unwrap();
    for (status, there) in [(Status::Archived, 1), (Status::Active, 1)] {
        let said = |file: &FileRef| RelayedStatus {
            project: file.project.clone(),
            status,
            reason: None,
        };
        let switch = Switch {
            statuses: vec![said(&alpha), said(&beta), said(&file("unknown", "1.0"))],
            ..empty(b"fourth", None)
        };
        assert_eq!(site.switch(switch, 5).await.unwrap().counts.statuses, there);
        let stands = site.catalog.project(&alpha.project, None).await.unwrap().unwrap();
        assert_eq!(stands.status, Status::Quarantined);
        let relayed = site.catalog.project(&beta.project, None).await.unwrap().unwrap();
        assert_eq!(relayed.status, status);
    }
    let before = site.everything().await;
    site.catalog.rebuild(|_, _| ()).await.unwrap();
    assert_eq!(site.everything().await, before);
}

#[tokio::test]
async fn a_file_in_quarantine_keeps_the_senders_yank_for_when_it_is_admitted() {
    let site = site();
    let judgments = site
        .prepared(b"first", vec![judgment("alpha", "1.0", "quarantine", "")])
        .await;
    let alpha = file("alpha", "1.0");
    let switch = Switch {
        judgments,
        changes: vec![change(&alpha, Change::Yank)],
        ..empty(b"first", None)
    };
    assert_eq!(site.switch(switch, 1).await.unwrap().counts.yanked, 1);
    let row = site
        .catalog
        .commit_judgment(judgment("alpha", "1.0", "admit", ""), time(2))
        .await
        .unwrap();
    assert_eq!(row.state, FileState::Admitted);
    assert_eq!(row.yanked.unwrap().by, Actor::Sender(SENDER.to_owned()));
}
