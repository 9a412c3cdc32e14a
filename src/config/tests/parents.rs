//! What the presets of webhooks clear besides an entity: the tags of what shows its parents.

use super::webhooks::{hook, sent};

/// S2 2.8: rows that came, went or moved.
#[test]
fn rows_of_a_database() {
    let hook = hook(
        "preset = 'supabase'\nsecret = 's3cret'\nmapping.types = { \
         job_readiness_expert_sessions = 'expert_sessions', modules = 'module_content' }",
    );
    for (body, selectors) in [
        (
            r#"{"type":"INSERT","table":"products","record":{"id":42,"client_id":7,"team_ids":[1,2],
                "owner_id":null,"paid":"no"},"old_record":null}"#,
            "products/42,tag:products:client:7,tag:products:team:1,tag:products:team:2",
        ),
        (
            r#"{"type":"UPDATE","table":"job_readiness_expert_sessions",
                "record":{"id":5,"product_id":2},"old_record":{"id":5,"product_id":1}}"#,
            "expert_sessions/5,tag:expert_sessions:product:1,tag:expert_sessions:product:2",
        ),
        (
            r#"{"type":"DELETE","table":"modules","record":null,
                "old_record":{"id":3,"product_id":"p"}}"#,
            "module_content/3,tag:module_content:product:p",
        ),
        (
            r#"{"type":"INSERT","table":"posts_tags","record":{"post_id":1,"tag_id":2}}"#,
            "posts_tags,tag:posts_tags:post:1,tag:posts_tags:tag:2",
        ),
        (r#"{"type":"INSERT","table":"a","record":{"id":1,"b_id":"c\ud83d"}}"#, "all"),
        (r#"{"type":"INSERT","table":"a","record":{"id":1,"b_id":true}}"#, "all"),
        (r#"{"type":"INSERT","table":"a","record":{"id":1,"b_id":{"name":"x"}}}"#, "all"),
        (r#"{"type":"INSERT","table":"a","record":{"id":1,"b_id":0.5}}"#, "all"),
        (r#"{"type":"INSERT","table":"a","record":{"id":1,"bIds":["7",{"x":1}]}}"#, "all"),
        (
            r#"{"type":"INSERT","table":"a","record":{"id":1,"b_id":{"_id":"7"},"c_id":"",
                "d":{}}}"#,
            "a/1,tag:a:b:7,tag:a:b_id:7",
        ),
    ] {
        assert_eq!(sent(&[], body).means(&hook).0, selectors, "{body}");
    }
}

#[test]
fn references_of_content_systems() {
    let strapi = r#"{"event":"entry.create","model":"article","entry":{"id":10,"documentId":"d",
        "category":{"id":3},"tags":[{"id":1},{"id":2,"documentId":"x"}],"cover":null}}"#;
    let sanity = r#"{"_id":"a","_type":"post","slug":{"current":"s"},
        "category":{"_type":"reference","_ref":"c2"},"before":{"category":{"_ref":"c1"}}}"#;
    let contentful = r#"{"sys":{"type":"Entry","id":"4","contentType":{"sys":{"id":"post"}}},
        "fields":{"title":{"en":"a"},"author":{"en":{"sys":{"type":"Link","id":"7"}}},
        "tags":{"en":[{"sys":{"type":"Link","id":"1"}},{"sys":{"type":"Link","id":"2"}}]}}}"#;
    for (preset, body, expected) in [
        (
            "strapi",
            strapi,
            "article/10,article/d,tag:article:category:3,tag:article:tags:1,tag:article:tags:2,\
             tag:article:tags:x",
        ),
        ("sanity", sanity, "post/a,tag:post:category:c1,tag:post:category:c2"),
        ("contentful", contentful, "post/4,tag:post:author:7,tag:post:tags:1,tag:post:tags:2"),
    ] {
        let hook = hook(&format!("preset = '{preset}'\nsecret = 's3cret'"));
        assert_eq!(sent(&[], body).means(&hook).0, expected, "{preset}");
    }
}
